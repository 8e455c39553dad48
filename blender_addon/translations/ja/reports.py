"""Japanese for what is reported: what a run does and what came of it."""

TEXTS = {
    # How sentences are joined
    "{text}. {text2}": "{text}。{text2}",
    "{text}. {text2}.": "{text}。{text2}。",
    "{text}.": "{text}。",
    "{name}: {text}": "{name}: {text}",
    ", ": "、",
    "; ": "、",
    "Esc cancels": "Escでキャンセル",

    # What a run does
    "starting": "開始中",
    "reading the mesh": "メッシュを読み込んでいます",
    "reading the file": "ファイルを読み込んでいます",
    "reading vertex groups, {num} %": "頂点グループを読み込んでいます（{num} %）",
    "transferring attributes": "属性を転送しています",
    "{name} was being read when something was undone": "{name}を読み込んでいる間に取り消し（Undo）が行われました",
    "opening the scan": "スキャンを開いています",
    "reading the scan": "スキャンを読み込んでいます",
    "cleaning the scan": "スキャンを整えています",
    "looking at what the scan is": "スキャンの種類を調べています",
    "looking for outliers and noise": "外れ値とノイズを調べています",
    "looking for normals": "法線を求めています",
    "level {num} of {num2}": "レベル {num} / {num2}",
    "looking for holes": "穴を探しています",
    "hole {num}": "穴 {num}",
    "reading the pairs": "ペアを読み込んでいます",
    "reading the members": "メンバーを読み込んでいます",
    "reading {name}": "{name}を読み込んでいます",
    "compared {name}": "{name}を比較しました",
    "fitted {name}": "{name}をフィットしました",
    "matching {name}": "{name}を対応付けています",
    "matching {name} again": "{name}を再び対応付けています",
    "comparing the members": "メンバーを比較しています",
    "choosing a template": "基準となる形を選んでいます",
    "reading the card": "カードを読み込んでいます",
    "writing the page": "ページを書き出しています",
    "imagining": "形を生成しています",
    "drawing a shape": "形を生成しています",
    "placing {name}": "{name}の場所を探しています",
    "moving": "動かしています",
    "making the new mesh": "新しいメッシュを作っています",
    "running the network": "ネットワークを実行しています",
    "looking at the topology": "トポロジーを調べています",
    "following the topology": "トポロジーを追っています",
    "looking for a path that keeps the topology": "トポロジーを保つ経路を探しています",
    "looking for the strength": "強さを探しています",
    "strength {num}": "強さ {num}つ目",
    "measuring": "測定しています",
    "comparing with other shapes": "ほかの形と比較しています",
    "comparing with its family": "ファミリーと比較しています",
    "registering the views": "ビューを位置合わせしています",
    "finding its place in the family": "ファミリーの中での位置を求めています",
    "finding the nearest of the scan": "スキャンの最も近い所を求めています",
    "carrying attributes over": "属性を引き継いでいます",
    "registering": "位置を合わせています",
    "matching": "対応付けています",
    "done": "完了",
    "{num} of {num2}: {text}": "{num} / {num2}: {text}",
    "{name} ({num} of {num2}): {text}": "{name} ({num} / {num2}): {text}",

    # A fit
    "{name}: {num} vertices in {num2} s": "{name}: {num2}秒で頂点{num}個",
    "{text}; what was not seen follows {text2}": "{text}。見えなかった部分の手がかり: {text2}",
    "mirror symmetry ({text})": "左右対称（{text}）",
    "the axis about which {name} of the seen surface is turned": "見えたサーフェスの{name}が回転体となる軸",
    "{name} of the seen surface meets its mirror image, {name2} speaks against it":
        "見えたサーフェスの{name}が鏡像と一致、{name2}は矛盾",
    "{num} mirror planes (across each, {text}, and at most {name} speaks against it)":
        "対称面{num}枚（それぞれ{text}、矛盾は最大{name}）",
    "at least {name} of the seen surface meets its mirror image": "見えたサーフェスの{name}以上が鏡像と一致",
    "a flat base": "平らな底",
    "a smooth surface where nothing else is known": "ほかに手がかりのない部分は滑らかなサーフェス",
    "the thickness of its walls": "壁の厚み",
    "the family's profile": "ファミリーのプロファイル",
    "Read as a {text}: {text2}": "{text}として読み込み: {text2}",
    "Read as a {text}": "{text}として読み込み",
    "scan": "スキャン",
    "solid": "ソリッド",
    "sheet": "シート",
    "an open mesh": "開いたメッシュ",
    "bare points": "点のみ",
    "as asked": "指定どおり",
    "as asked, although no part of it is closed": "指定どおり（閉じた部分はありません）",
    "a closed shell, {name} of its size thick, around a cavity": "空洞を囲む閉じた殻（厚みは大きさの{name}）",
    "its holes were closed by a program": "穴はプログラムで閉じられたもの",
    "{num} open pieces that face both ways": "両方を向いた開いた部分が{num}個",
    "{num} open pieces that can be seen from both sides": "両側から見える開いた部分が{num}個",
    "an open surface that faces one way, up to its border": "境界まで一方向を向いた開いたサーフェス",
    "1 closed part": "閉じた部分が1個",
    "{num} closed parts": "閉じた部分が{num}個",
    "{num} of them overlap or lie inside others": "うち{num}個は重なるか、ほかの内側にある",
    "it overlaps itself": "自分自身と重なっている",
    "it has walls inside": "内側に壁がある",
    "the union is fitted": "全体をまとめてフィット",
    "its outside is fitted": "外側をフィット",
    "It is too small or too thin for this level of detail": "この細かさには小さすぎるか薄すぎます",
    "{name} of the input has no surface near it. {text}": "入力の{name}は近くにサーフェスがありません。{text}",
    "{name} of the surface is invented: nothing was measured near it":
        "サーフェスの{name}は推測です。近くに実測がありません",
    "{name} of the input was left out: {text}": "入力の{name}を除きました: {text}",
    "what lies inside": "内側にあるもの",
    "a piece without support, or a very small one": "裏付けのない部分、またはとても小さい部分",
    "{num} pieces without support, or very small ones": "裏付けのない部分、またはとても小さい部分が{num}個",
    "{num} outliers": "外れ点{num}個",
    "Its flat bottom was not seen: a plane closes it. Turn the flat base off to let the network close it.":
        "平らな底が見えなかったので、平面で閉じました。「平らな底」をオフにすると、ネットワークが閉じます。",
    "One side of thin walls was not seen: they go on as thick as elsewhere. Turn Continue Walls off if they do not.":
        "薄い壁の片側が見えなかったので、ほかと同じ厚みで続けました。違う場合は「壁を続ける」をオフにしてください。",
    "{name} had been changed by hand; its old mesh is kept as '{name2}.original'":
        "{name}は手で変更されていたので、以前のメッシュを「{name2}.original」として残しました",
    "{name} lacks the texture, colours and groups of its scan. {text}":
        "{name}にはスキャンのテクスチャ、カラー、グループがありません。{text}",
    "The transfer was cancelled": "引き継ぎはキャンセルされました",
    "A new mesh has other edges and holds no texts, so it lacks the {text}":
        "新しいメッシュは辺が異なり、テキストを持てないため、{text}がありません",
    "attributes {name} and {name2}": "属性 {name}、{name2}",
    "attribute {name}": "属性 {name}",
    "What lies beyond the scan takes the colours of its border, and is marked as invented":
        "スキャンの外側は境界のカラーを受け継ぎ、推測として印が付きます",
    "There is no vertex group '{name}', so the {text} that it masks do nothing":
        "頂点グループ「{name}」がないため、それでマスクする{text}は働きません",
    "edits": "編集",
    "sliders": "スライダー",
    "The options of a fit are as they are at first": "フィットのオプションを初期値に戻しました",

    # Reports on other completions
    "{num} other completions in '{name}'. Look at each, then pick one":
        "別の補完{num}個を「{name}」に作りました。見比べて1つ採用してください",
    "There are no other completions to choose from. Press Complete Otherwise first.":
        "選べる別の補完がありません。先に「別の補完を作る」を押してください。",
    "{name} is shown": "{name}を表示しました",
    "{name} has the shape of {name2}": "{name}は{name2}の形になりました",
    "{name} stays as it is": "{name}はそのままです",
    "{name} was deleted. Undo that, or press Fit again.":
        "{name}は削除されました。元に戻すか、もう一度「フィット」を押してください。",
    "{name} was moved out of '{name2}', so it is an object of its own. Choose another.":
        "{name}は「{name2}」の外に移動されたので、独立したオブジェクトです。別のものを選んでください。",

    # Reports on holes
    "{num} hole": "穴{num}個",
    "{num} holes": "穴{num}個",
    "{num} opening": "開口部{num}個",
    "{num} openings": "開口部{num}個",
    "No holes: the mesh has no border": "穴なし: メッシュに境界がありません",
    "{text} closed with {text2}: {text3}": "{text}を{text2}で閉じました: {text3}",
    "{num} face": "面{num}枚",
    "{num} faces": "面{num}枚",
    "{num} without new vertices": "新しい頂点なし {num}",
    "{num} flat": "平ら {num}",
    "{num} smooth": "滑らか {num}",
    "{num} by the fit": "フィットから {num}",
    "{num} from the other side": "反対側から {num}",
    "No hole was closed": "穴は閉じられませんでした",
    "{num} meshes: {num2} holes closed with {num3} faces": "メッシュ{num}個: 穴{num2}個を面{num3}枚で閉じました",
    "it is the outer border of a piece": "部分の外周です",
    "the surface does not run on into it, as at the mouth of a vessel or the end of a tube":
        "器の口や筒の端のように、面がそこへ続いていません",
    "it is as large as the outer border of a view": "視野の外周ほどの大きさです",
    "Opening {num} is left open: {text}": "開口部{num}は開いたままです: {text}",
    "Hole {num} is left open: its radius is {num2}": "穴{num}は開いたままです: 半径は{num2}です",
    "Hole {num} is left open: its border runs through a vertex twice":
        "穴{num}は開いたままです: 境界が同じ頂点を2度通ります",
    "The mesh could not be fitted, so its holes are closed smoothly: {text}":
        "メッシュをフィットできなかったので、穴は滑らかに閉じました: {text}",
    "{name} shares its mesh with {name2}, where the holes are closed as well":
        "{name}のメッシュは{name2}と共有なので、そちらの穴も閉じられます",
    "{name} shares its mesh with {name2} and {num} more, where the holes are closed as well":
        "{name}のメッシュは{name2}ほか{num}個と共有なので、そちらの穴も閉じられます",
    "The modifiers of {name} change its borders: the mesh itself has {num}, with them there are {num2}. Holes "
    "are those of the mesh itself; untick what a modifier closes.":
        "{name}のモディファイアーで境界の数が変わります: メッシュ自体は{num}、適用後は{num2}。穴はメッシュ自体のも"
        "のです。モディファイアーが閉じるものはチェックを外してください。",
    "No hole of {name} is ticked": "{name}の穴がチェックされていません",
    "Hole {num} of {name} is not there any more. Press Find Holes again.":
        "{name}の穴{num}はもうありません。もう一度「穴を検索」を押してください。",
    "A hole of {name} is as large as the face beside it. Untick it.":
        "{name}の穴の1つが、隣の面と同じ大きさです。チェックを外してください。",
    "{name} has faces that are invalid. Use Mesh > Clean Up > Degenerate Dissolve first.":
        "{name}に無効な面があります。先に「メッシュ > クリーンアップ > 縮退溶解」を使ってください。",
    "{name} is linked from another file. Use Object > Relations > Make Local first.":
        "{name}は別のファイルからリンクされています。先に「オブジェクト > 関係 > ローカル化」を使ってください。",
    "{name} is a library override, so its mesh cannot be changed. Make it local first.":
        "{name}はライブラリオーバーライドなので、メッシュを変更できません。先にローカル化してください。",
    "{name} has no faces, so it has no holes": "{name}には面がないので、穴もありません",
    "{name} has a Multiresolution modifier, which cannot follow new faces. Apply it first.":
        "{name}のマルチレゾリューションモディファイアーは新しい面に対応できません。先に適用してください。",
    "The attribute '{name}' of {name2} holds matrices, which new faces cannot have. Convert it first.":
        "{name2}の属性「{name}」は行列で、新しい面に持たせられません。先に変換してください。",

    # Edits and their results
    "{num} % of the vertices moved, by {length} at most": "頂点の{num}%が動きました（最大{length}）",
    "{text}; {text2}, as before": "{text}、{text2}（変化なし）",
    "Topology: {text}": "トポロジー: {text}",
    "The topology is unstable: it depends on the resolution": "トポロジーが不安定です（解像度によって変わります）",
    "the edits are on {num} of {num2} objects": "{num2}個中{num}個のオブジェクトに編集を適用しました",
    "{name} is as it was without edits": "{name}は編集前の形です",
    "{name} are as they were without edits": "{name}は編集前の形です",
    "All strengths are 0, so there is nothing to apply. Move a slider first.":
        "強さがすべて0なので、適用するものがありません。先にスライダーを動かしてください。",
    "The network makes its new meshes: the examples change the topology, or a movement does worse":
        "新しいメッシュはネットワークが作ります（例がトポロジーを変えるか、移動だけでは劣るため）",
    "It moves the surface and keeps its vertices": "サーフェスを動かし、頂点は保ちます",
    "{name} makes more than a movement of the surface: it needs a new mesh of the fit":
        "{name}はサーフェスの移動だけでは表せないので、フィットの新しいメッシュが必要です",
    "The edits of {name} have changed in the meantime. Press the button again.":
        "{name}の編集がその間に変わりました。もう一度ボタンを押してください。",
    "A learned edit needs its file. Choose one of the library.":
        "学習した編集にはファイルが必要です。ライブラリから選んでください。",
    "There is no attribute '{name}'. Choose one of the list.": "属性「{name}」はありません。一覧から選んでください。",
    "The model has no shape slider '{name}'. Choose one of the list.":
        "モデルにシェイプスライダー「{name}」はありません。一覧から選んでください。",
    "choose New mesh as the result": "結果に「新規メッシュ」を選んでください",
    "{name} is linked from another file: {text}": "{name}は別のファイルからリンクされています: {text}",
    "{name} is a library override: {text}": "{name}はライブラリオーバーライドです: {text}",
    "{name} is in Edit Mode. Leave it with Tab first.": "{name}は編集モードです。先にTabで終えてください。",
    "{name} is sculpted with Dyntopo. Go back to Object Mode first.":
        "{name}はダイントポでスカルプト中です。先にオブジェクトモードに戻ってください。",
    "{name} has no faces, so it can have no shape key: {text}":
        "{name}には面がないので、シェイプキーを作れません: {text}",
    "{name} has no faces, so it can have no shape key. Choose New mesh as the result.":
        "{name}には面がないので、シェイプキーを作れません。結果に「新規メッシュ」を選んでください。",
    "The mesh of {name} is used by other objects as well. Use Object > Relations > Make Single User, or {text}.":
        "{name}のメッシュはほかのオブジェクトでも使われています。「オブジェクト > 関係 > シングルユーザー化」を使う"
        "か、{text}。",
    "The shape keys of {name} are absolute: {text}": "{name}のシェイプキーは絶対シェイプキーです: {text}",
    "{name} is linked from another file, so it can have no edits. Make it local first.":
        "{name}は別のファイルからリンクされているので、編集できません。先にローカル化してください。",
    "{name} is a library override, so it can have no edits. Make it local first.":
        "{name}はライブラリオーバーライドなので、編集できません。先にローカル化してください。",
    "{name} is linked from another file, so its mesh cannot be replaced. Choose New mesh as the result.":
        "{name}は別のファイルからリンクされているので、メッシュを置き換えられません。結果に「新規メッシュ」を選んで"
        "ください。",
    "{name} is a library override, so its mesh cannot be replaced. Choose New mesh as the result.":
        "{name}はライブラリオーバーライドなので、メッシュを置き換えられません。結果に「新規メッシュ」を選んでくださ"
        "い。",
    "{name} is in Edit Mode, so its mesh cannot be replaced. Leave it with Tab, then press Fit.":
        "{name}は編集モードなので、メッシュを置き換えられません。Tabで終えてから「フィット」を押してください。",
    "{name} is linked from another file. Fit its scan again.":
        "{name}は別のファイルからリンクされています。スキャンをもう一度フィットしてください。",
    "{name} is not in this view layer. Show it first.":
        "{name}はこのビューレイヤーにありません。先に表示してください。",
    "{name} belongs where {name2} is": "{name}の場所を{name2}の位置にしました",
    "{name} has {num} places on {name2}": "{name2}での{name}の場所は{num}か所です",
    "There is no place {num}. {name} has {num2}.": "場所{num}はありません。{name}の場所は{num2}か所です。",
    "No vertex is selected. Select one where the edit belongs.":
        "頂点が選択されていません。編集を施す場所の頂点を選択してください。",
    "{name} has no edit to mask. Add one first.": "{name}にはマスクする編集がありません。先に追加してください。",
    "Paint '{name}', then go back to Object Mode": "「{name}」をペイントし、オブジェクトモードに戻ってください",

    # Topology
    "{num} piece": "パーツ{num}個",
    "{num} pieces": "パーツ{num}個",
    "{num} tunnel": "トンネル{num}個",
    "{num} tunnels": "トンネル{num}個",
    "{num} hollow": "空洞{num}個",
    "{num} hollows": "空洞{num}個",
    "open: it encloses nothing": "開いている（何も囲んでいません）",
    "at {num} %: {text}": "{num} % で: {text}",
    "pieces join": "パーツがつながります",
    "a new piece appears": "新しいパーツが現れます",
    "{num} new pieces appear": "新しいパーツが{num}個現れます",
    "a piece vanishes": "パーツが消えます",
    "{num} pieces vanish": "パーツが{num}個消えます",
    "a piece splits off": "パーツが分かれます",
    "{num} pieces split off": "パーツが{num}個分かれます",
    "pieces join or vanish": "パーツがつながるか消えます",
    "pieces split off or appear": "パーツが分かれるか現れます",
    "a tunnel through it closes": "貫通トンネルがふさがります",
    "{num} tunnels through it close": "貫通トンネルが{num}個ふさがります",
    "its parts touch around a new tunnel through it": "部分どうしが触れ、新しい貫通トンネルができます",
    "its parts touch around {num} new tunnels through it": "部分どうしが触れ、新しい貫通トンネルが{num}個できます",
    "the rim of a tunnel through it breaks": "貫通トンネルの縁が切れます",
    "the rims of {num} tunnels through it break": "貫通トンネル{num}個の縁が切れます",
    "a tunnel through it opens": "貫通トンネルが開きます",
    "{num} tunnels through it open": "貫通トンネルが{num}個開きます",
    "a hollow inside fills up": "内部の空洞が埋まります",
    "{num} hollows inside fill up": "内部の空洞が{num}個埋まります",
    "a hollow inside is closed off": "内部に空洞が閉じ込められます",
    "{num} hollows inside are closed off": "内部に空洞が{num}個閉じ込められます",
    "a hollow inside is opened": "内部の空洞が外へ開きます",
    "{num} hollows inside are opened": "内部の空洞が{num}個外へ開きます",
    "a hollow forms inside": "内部に空洞ができます",
    "{num} hollows form inside": "内部に空洞が{num}個できます",
    "a hollow inside opens or fills up": "内部の空洞が開くか埋まります",
    "{num} hollows inside open or fill up": "内部の空洞が{num}個開くか埋まります",
    "{text} ({num} before, {num2} after)": "{text}（前{num}、後{num2}）",
    "{name}: safe from {num} to {num2} %": "{name}: {num}～{num2} %で安全",
    "At some strengths the topology depends on the resolution": "強さによっては、トポロジーが解像度に左右されます",
    "{name}: strength {num}": "{name}: 強さ {num}",
    "{text}, measured {value}": "{text}、測定値 {value}",

    # Check
    "{text} - {num} % of the surface is guessed": "{text} - サーフェスの{num}%は推測",
    "plausibility {num}: {num2} % of real shapes are no more usual":
        "自然さ {num}: 実在の形の{num2}%は、これと同じかより珍しい形です",
    "the edits push the surface through itself: {num} % of the shape":
        "編集でサーフェスが自分自身を突き抜けています: 形の{num}%",
    "most like: {name}": "最も近い形: {name}",
    "typical {num} for {name}": "{name}らしさ {num}",
    "not compared with {name}: {text}": "{name}とは比べていません: {text}",
    "{text}, {num} % of the surface departs": "{text}、サーフェスの{num}%が外れています",
    "volume {name}": "体積 {name}",
    "area {name}": "面積 {name}",
    "thickness {name}": "厚み {name}",
    "size {name}": "大きさ {name}",
    "There is no value to reach. Give one first.": "合わせる値がありません。先に値を入れてください。",
    "There is nothing to show yet. Press Check first.":
        "まだ表示するものがありません。先に「チェック」を押してください。",
    "There is nothing to show yet. Press Check with a family chosen first.":
        "まだ表示するものがありません。先にファミリーを選んで「チェック」を押してください。",
    "The audit is in {name}": "監査のページ: {name}",
    "No temporary file can be made: {name}": "一時ファイルを作れません: {name}",

    # Learning, families, blends and imagined shapes
    "Learned '{name}' from 1 pair": "1組のペアから「{name}」を学習しました",
    "Learned '{name}' from {num} pairs": "{num}組のペアから「{name}」を学習しました",
    "There is no pair number {num}": "{num}番のペアはありません",
    "The mesh {text} of pair {num} was deleted. Remove the pair, or choose another.":
        "ペア{num}の編集{text}のメッシュは削除されました。ペアを外すか、別のものを選んでください。",
    "before": "前",
    "after": "後",
    "{name} has no faces, so nothing can be learned from it. {text}.":
        "{name}には面がないので、学習に使えません。{text}。",
    "Choose a mesh with faces": "面のあるメッシュを選んでください",
    "Deselect it, or fit it first": "選択を解除するか、先にフィットしてください",
    "The examples show no change: this edit does nothing": "例に変化がないので、この編集は何もしません",
    "The examples contradict one another: expect much doubt where the edit is applied":
        "例どうしが矛盾しています。適用時の不確かさが大きくなります",
    "{name}: {num} members": "{name}: メンバー{num}個",
    "{text}, explains {num} % of how they differ": "{text}、違いの{num}%を説明",
    "left out {name}: {text}": "除外 {name}: {text}",
    "Choose the other object": "相手のオブジェクトを選んでください",
    "Choose another object than the active one": "アクティブ以外のオブジェクトを選んでください",
    "No path was found that keeps the topology: the blend takes the straight one":
        "トポロジーを保つ経路が見つからないので、直線の経路でブレンドします",
    "{name}: {num} points, {num2} faces": "{name}: 点{num}個、面{num2}枚",
    "{name} is far from the origin, so it has an origin of its own":
        "{name}は原点から遠いため、オブジェクトの原点をスキャンの位置に置きました",
    "{num} of its {num2} points have no finite position, and are left out":
        "{num2}個の点のうち{num}個は座標が有効でないため除外しました",
    "1 shape imagined in {num} s": "{num}秒で形を1個生成しました",
    "{num} shapes imagined in {num2} s": "{num2}秒で形を{num}個生成しました",
}  # fmt: skip
