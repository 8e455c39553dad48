"""Japanese for what the backend process says of edits, scans, holes and itself."""

TEXTS = {
    # Edits that do not fit, or act elsewhere
    "{name} of what moved is a guess: the examples say little about this scan there":
        "動いた部分の{name}は推測です: 例からは、このスキャンのその場所のことがほとんど分かりません",
    "The edits turn {num} faces over: lower the strength": "編集で面{num}枚が裏返ります: 強さを下げてください",
    "The part that it changes is at {num} places of this scan: it acts {text}":
        "変化させる部分がこのスキャンに{num}か所あります: {text}働きます",
    "on all of them": "そのすべてに",
    "on {num} of them": "そのうち{num}か所に",
    "What is there hardly looks like the part on the examples: look at the result, or place the edit":
        "そこにあるものは見本の部分とあまり似ていません。結果を確かめるか、編集の場所を指定してください",
    "The part that it changes is elsewhere on this scan: it acts there":
        "変化させる部分がこのスキャンでは別の場所にあるので、そこに働きます",
    "the place that was given for it is not at the surface of the scan":
        "指定された場所がスキャンのサーフェス上にありません",
    "{name} fits the examples in more than one pose: place the edit on it, or turn it the way the first "
    "example stands":
        "{name}は複数の向きで例に合います: 編集を配置するか、最初の例と同じ向きに回してください",
    "{name} does nothing here: its mask leaves out all that it changes":
        "{name}はここでは働きません: 変化させる場所がすべてマスクから外れています",
    "{name}: {num} is far outside of what was seen": "{name}: {num}は学習した範囲から大きく外れています",
    "{name}: below 0 it does the opposite to the surface, which undoes no hole or part":
        "{name}: 0未満ではサーフェスを逆に動かしますが、穴や部分は元に戻りません",
    "It moves this sheet and does nothing else: the network makes new meshes of solids only":
        "このシートを動かすだけです: ネットワークが新しいメッシュを作るのはソリッドだけです",
    "This shape is as usual as real ones are: there is nothing to do":
        "この形はすでに実在の形と同じくらい自然なので、することがありません",
    "Nothing is left of the solid after this edit": "この編集ではソリッドが何も残りません",
    "the edited mesh is too large for a new one: lower the strength":
        "編集後のメッシュが大きすぎて新しいメッシュを作れません: 強さを下げてください",
    "the edits move the surface too far away: lower the strength":
        "編集でサーフェスが遠くへ動きすぎます: 強さを下げてください",
    "this mesh is not closed, so that it has no inside: edit its fit instead":
        "このメッシュは閉じておらず、内側がありません: 代わりにフィットを編集してください",
    "this mesh is not closed, so that it has no {text}": "このメッシュは閉じていないので、{text}がありません",
    "thickness": "厚み",
    "volume": "体積",
    "{name} is a sheet, and {text} an inside: {text2}": "{name}はシートです。{text}内側が必要です: {text2}",
    "fit it with a thickness, or as a scan or a solid, first":
        "先に、厚みを付けるか、スキャンまたはソリッドとしてフィットしてください",
    "a blend needs": "ブレンドには",
    "a sweep follows the topology of": "安全範囲の検索には",
    "this slider changes": "このスライダーには",
    "this edit, which puts on or takes away parts, needs": "部分を足したり除いたりするこの編集には",

    # Learning, blends, solving
    "an edit is learned from 1 to {num} examples": "編集は1～{num}個の例から学習します",
    "the place that is marked on {name} is not at its surface": "{name}の目印がサーフェス上にありません",
    "The network gets {name} of the change wrong on its own example: look closely at what it makes. An example whose "
    "vertices you only moved is learned exactly":
        "ネットワークは例そのものでも変化の{name}を再現できません。できたものをよく確認してください。"
        "頂点を動かしただけの例は正確に学習されます",
    "What one example shows is {name} off on another: they contradict one another there":
        "ある例の変化が別の例では{name}ずれています: そこで例どうしが矛盾しています",
    "A large part of the change is no movement of the surface (a new tunnel, a part cut off or put on): that "
    "part is not learned":
        "変化の大部分がサーフェスの移動ではない（新しいトンネル、部分の切り取りや追加）ため、その部分は学習されませ"
        "ん",
    "{name} and {name2} do not look like one object before and after a change":
        "{name}と{name2}は、同じ物体の変化の前と後には見えません",
    "A profile takes {num} to {num2} scans of a family, not {num3}":
        "ファミリーの学習には{num}～{num2}個のスキャンが必要です（{num3}個ではなく）",
    "These scans have no shape in common": "これらのスキャンには共通の形がありません",
    "only closed surfaces can be blended: fit both scans first":
        "ブレンドできるのは閉じたサーフェスだけです: 先に両方のスキャンをフィットしてください",
    "{name} do not look alike: there is nothing to blend along": "{name}は似ていないので、ブレンドできません",
    "{name} fit in more than one pose: turn one the way the other stands":
        "{name}は複数の向きで合います: 片方をもう片方と同じ向きに回してください",
    "there is no solid between the two scans at this share": "この割合では、2つのスキャンの間にソリッドがありません",
    "the two scans are too far apart or too different in size": "2つのスキャンは離れすぎているか、大きさが違いすぎます",
    "The topology here is not the one at strength 1, which stays from {num} to {num2}":
        "ここのトポロジーは強さ1のときと異なります。強さ1のトポロジーは{num}～{num2}で保たれます",
    "The topology changes before this strength: it stays as it is from {num} to {num2}":
        "この強さより前でトポロジーが変わります: 今のままなのは{num}～{num2}です",
    "The measure jumps over {num}: {num2} is as near as it comes": "寸法は{num}を飛び越えます: 最も近い値は{num2}です",
    "strengths from {num} to {num2} reach values from {text}, not {num3}":
        "強さ{num}～{num2}で届く値は{text}で、{num3}には届きません",
    "{num} to {num2}": "{num}～{num2}",

    # What a fit did with its scan
    "{text} It is no sheet: no thickness was given to it": "{text}シートではないので、厚みは付けていません",
    "{name} of the input is thinner than a voxel of level {num}": "入力の{name}はレベル{num}のボクセルより薄いです",
    "{text}. Level {num} keeps it.": "{text}。レベル{num}なら残ります。",
    "{text}, and some of it than one of the finest level": "{text}。一部は最も細かいレベルのボクセルよりも薄いです",
    "{name} of the scan is thinner than {num} voxels of level {num2}: such walls were made as thick, to stay":
        "スキャンの{name}はレベル{num2}の{num}ボクセルより薄いため、残るようにその厚さにしました",
    "{text} Thin walls were made {num} voxels thick, to stay":
        "{text}薄い壁は残るように{num}ボクセルの厚さにしました",
    "On {name} of the surface there are too few points for this Detail: it is smooth there":
        "サーフェスの{name}では点がこの細かさに足りないため、なめらかになっています",
    "A small tunnel through what was not measured was closed":
        "測定されていない部分を貫く小さなトンネルを1つふさぎました",
    "{num} small tunnels through what was not measured were closed":
        "測定されていない部分を貫く小さなトンネルを{num}個ふさぎました",
    "a sheet of this size can be up to {num} thick, not {num2}":
        "この大きさのシートの厚みは{num}までです（{num2}ではなく）",
    "a thickness of {num} is less than a voxel of level {num2}, {num3}: {text}":
        "厚み{num}はレベル{num2}のボクセル（{num3}）より小さいです: {text}",
    "level {num} would do": "レベル{num}なら足ります",
    "it is thinner than one of the finest level too": "最も細かいレベルのボクセルよりも薄いです",
    "{num} faces ({name} of the area) close holes of the scan and measure nothing: they were left out":
        "面{num}枚（面積の{name}）はスキャンの穴をふさいだもので実測ではないため、除きました",
    "Its {num} points were thinned to {num2}, {num3} along each voxel":
        "{num}個の点を、ボクセルの1辺に{num3}個、合わせて{num2}個に間引きました",
    "{num} of its {num2} points are used, chosen at random": "{num2}個の点から{num}個を無作為に選んで使います",
    "{name} of the surface was inside out and was turned over": "サーフェスの{name}が裏返しだったので、表に向けました",
    "{num} of {num2} views moved, by up to {num3} % of the longest side and {num4} degrees":
        "{num2}個のビューのうち{num}個を動かしました（最大で最長辺の{num3} %、{num4}度）",
    "No view moved: those that overlap are right already":
        "動かしたビューはありません: 重なるビューはすでに合っています",
    "{num} of {num2} views stayed: they overlap no other":
        "{num2}個のビューのうち{num}個は、ほかと重ならないためそのままです",
    "{num} of {num2} views stayed: they are too far off":
        "{num2}個のビューのうち{num}個は、ずれが大きすぎるためそのままです",
    "{name} does not say which view each point is of, so that no views can be registered":
        "{name}には各点のビューの番号がないため、ビューを位置合わせできません",
    "{name} has {num} views; at most {num2} can be registered":
        "{name}には{num}個のビューがあります。位置合わせできるのは{num2}個までです",
    "{name} has no two views of {num} points or more, so that none can be registered":
        "{name}には{num}点以上のビューが2つないため、位置合わせできません",
    "what surrounds lost patches of thin walls": "薄い壁の失われた部分の周り",
    "{name} has no points": "{name}には点がありません",
    "All points of {name} lie at one place": "{name}の点はすべて同じ場所にあります",
    "{name} has no point with finite coordinates": "{name}には有効な座標の点がありません",
    "There is no surface: every face is without extent": "サーフェスがありません: どの面にも広がりがありません",

    # Holes that were closed otherwise, or not
    "Hole {num} is closed, but its fill": "穴{num}は閉じましたが、埋めた面が",
    "{text} folds back on itself or the mesh at {num} edges":
        "{text}辺{num}本で自分自身またはメッシュに折り重なっています",
    "{text} cuts through {num} faces of the mesh": "{text}メッシュの面{num}枚を突き抜けています",
    "Hole {num} is closed {text}: a {text2} fill would fold":
        "穴{num}は{text}閉じました: {text2}埋めると折り重なります",
    "flat": "平らに",
    "smoothly": "滑らかに",
    "smooth": "滑らかに",
    "without new vertices": "新しい頂点なしで",
    "Hole {num} has a piece of mesh inside it that the fill does not join: loop {num2}":
        "穴{num}の中に、埋めた面とつながらないメッシュの一部があります: ループ{num2}",
    "{name} holds points without faces: it has no holes to close":
        "{name}には面がなく点だけなので、閉じる穴がありません",
    "{num} border edges belong to no loop, as where three faces meet; they are left":
        "境界の辺{num}本はループになっていないので（3枚の面が接する所など）、そのままにしました",

    # The process
    "The memory does not suffice: use a lower level": "メモリが足りません: 細かさを下げてください",
    "The memory bound of {num} MB does not suffice: raise it, or use a lower level":
        "メモリの上限{num} MBでは足りません: 上限を上げるか、細かさを下げてください",
    "The memory did not suffice: use a lower level": "メモリが足りませんでした: 細かさを下げてください",
    "The memory does not suffice for what was sent: close other programs, or thin the scan":
        "送られたデータに対してメモリが足りません: ほかのプログラムを閉じるか、スキャンの点を減らしてください",
    "Something went wrong inside the backend ({name})": "バックエンドの内部で問題が起きました（{name}）",
    "Too much work waits for the backend: ask for less at once":
        "バックエンドに処理がたまりすぎています: 一度に頼む量を減らしてください",
    "The backend does not have this fit any more: fit the scan again":
        "バックエンドはもうこのフィットを保持していません: スキャンをフィットし直してください",
    "The backend did not start within {num} s": "バックエンドが{num}秒以内に起動しませんでした",
    "The backend was silent for {num} s and was stopped": "バックエンドが{num}秒間応答しなかったので、止めました",
    "The backend did not let go of a cancelled job and was stopped":
        "キャンセルした処理が終わらなかったので、バックエンドを止めました",
    "The backend stopped unexpectedly": "バックエンドが予期せず止まりました",
    "The backend stopped unexpectedly ({name})": "バックエンドが予期せず止まりました（{name}）",
    "The backend ended before it was ready ({name})": "バックエンドが準備の整う前に終了しました（{name}）",
    "{name} cannot be started: {text}": "{name}を起動できません: {text}",
    "The log {name} cannot be written: {text}": "ログ {name} に書き込めません: {text}",
    "A library is missing: install Microsoft's Visual C++ runtime":
        "ライブラリがありません: MicrosoftのVisual C++ランタイムをインストールしてください",
    "{name} lacks the package {name2}: install it there, or choose another Python":
        "{name}にはパッケージ{name2}がありません。そこにインストールするか、別のPythonを選んでください",
    "A package that the backend needs cannot be loaded: {name}":
        "バックエンドに必要なパッケージを読み込めません: {name}",
    "The model is incomplete: {name} is not installed": "モデルが不完全です: {name}がインストールされていません",
    "{name} cannot be used here: {text}": "ここでは{name}を使えません: {text}",
    "this onnxruntime has no CUDA provider": "このonnxruntimeはCUDAに対応していません",
    "its libraries or its driver could not be loaded": "そのライブラリかドライバーを読み込めませんでした",
    "the package onnxruntime-ep-webgpu is not installed": "パッケージonnxruntime-ep-webgpuがインストールされていません",
    "it is slower than the CPU": "CPUより遅いです",
    "it makes another field than the CPU, by {num} voxels": "CPUと異なるフィールドになります（{num}ボクセル）",
}  # fmt: skip
