"""Japanese for the panel Edits and those below it."""

TEXTS = {
    # Edits
    "Where the edit comes from": "編集の出どころ",
    "Of a learned edit": "学習した編集のファイル",
    "Of the edit": "編集の名前",
    "How strong the edit is; 0 does nothing": "編集の強さ。0では何も変わりません",
    "Where to in the list": "リスト内の移動方向",
    "Counted from 0": "0から数えた番号",
    "Edits": "編集",
    "Make a mesh object active": "メッシュオブジェクトをアクティブにしてください",
    "Add Edit": "編集を追加",
    "Add an edit to the stack of the selected meshes: an attribute or a shape slider by its name, or a file":
        "選択したメッシュのスタックに編集を追加します。属性やシェイプスライダーは名前で、それ以外はファイルで指定し"
        "ます",
    "Remove Edit": "編集を削除",
    "Remove the active edit from the stack": "アクティブな編集をスタックから削除します",
    "Move Edit": "編集を移動",
    "Move the active edit up or down": "アクティブな編集を上または下に移動します",
    "Direction": "方向",
    "Up": "上",
    "Down": "下",
    "Active Edit": "アクティブな編集",
    "Kind": "種類",
    "Attribute": "属性",
    "Acts on any scan": "どのスキャンにも使えます",
    "Shape": "シェイプ",
    "Changes the whole shape along a direction in which shapes differ": "形の個体差の方向に沿って、全体の形を変えます",
    "Learned": "学習済み",
    "Learned from examples, kept in a file": "例から学習し、ファイルに保存した編集",
    "File": "ファイル",
    "Name": "名前",
    "Strength": "強さ",
    "Amount": "量",
    "How strong the edit is: from 1 % on a difference is seen, and up to 100 % pieces and tunnels of this scan are "
    "expected to stay, or it does what the examples of a learned edit show; a negative value reverses it":
        "編集の強さ。1 % から違いが見え、100 % までこのスキャンの部分や穴の数は変わらない見込みです。"
        "学習した編集では例が示す強さです。"
        "負の値では逆向きに働きます",
    "How strong the edit is, as presets and recipes keep it: 0 does nothing, 1 is what the examples of a learned edit "
    "show; a negative value reverses it":
        "プリセットやレシピに保存される編集の強さ。0では何も変わらず、1は学習した編集の例どおり。負の値では逆向きに働きます",
    "Mute": "ミュート",
    "Leave this edit out": "この編集を無効にします",
    "Vertex group that says where the edit acts; empty for everywhere":
        "編集が働く場所を示す頂点グループ。空欄なら全体",
    "Thickness": "厚み",
    "Smoothness": "滑らかさ",
    "Sharpness": "鋭さ",
    "Grow or shrink by 1 % of the longest side": "最長辺の1%だけ太らせる、または細らせる",
    "Take roughness away or bring it out": "表面の粗さを減らす、または強める",
    "Make relief deeper or shallower": "凹凸を深くする、または浅くする",
    "Sharpen edges or round them": "角を鋭くする、または丸める",
    "{text}; useful from {num} to {num2}": "{text}。実用範囲は{num}～{num2}",
    "useful from {num} to {num2}": "実用範囲は{num}～{num2}",
    "Width (X)": "幅 (X)",
    "Stretch the whole shape along its X axis": "全体の形をX軸に沿って伸ばします",
    "Depth (Y)": "奥行き (Y)",
    "Stretch the whole shape along its Y axis": "全体の形をY軸に沿って伸ばします",
    "Height (Z)": "高さ (Z)",
    "Stretch the whole shape along its Z axis": "全体の形をZ軸に沿って伸ばします",
    "Fullness": "ふくらみ",
    "Have the whole shape fill more of the box around it": "全体の形が、それを囲む箱をより満たすようにします",
    "Taper to +X": "先細り (+X)",
    "Thin the whole shape out toward its +X end, below 0 toward the other end":
        "全体の形を+X側に向かって細くします。0未満では反対側に",
    "Taper to +Y": "先細り (+Y)",
    "Thin the whole shape out toward its +Y end, below 0 toward the other end":
        "全体の形を+Y側に向かって細くします。0未満では反対側に",
    "Taper to +Z": "先細り (+Z)",
    "Thin the whole shape out toward its +Z end, below 0 toward the other end":
        "全体の形を+Z側に向かって細くします。0未満では反対側に",
    "1 is how much shapes usually differ in that": "1は形どうしの標準的な差です",
    "Change the {name} of the whole shape": "全体の形の「{name}」を変えます",
    "in {name}": "単位: {name}",
    "Usual Shape": "自然な形",
    "Move the shape toward the most usual one near by, a share of the way: 0 leaves it alone, 1 goes all the "
    "way":
        "形を、近くにある最も自然な形へ寄せる割合。0はそのまま、1は完全に寄せます",
    "Apply": "適用",
    "Make the result of the edits on every selected mesh, with the edits of the active one, and say what they "
    "did; Esc cancels":
        "アクティブオブジェクトの編集を、選択したすべてのメッシュに適用して結果を作り、変化を報告します。Escでキャ"
        "ンセル",
    "Reset": "リセット",
    "Set all strengths to 0, so that the object is exactly as it was":
        "すべての強さを0にし、オブジェクトを完全に元の形に戻します",
    "Remove": "削除",
    "Also empty the stack and remove the shape key": "スタックも空にし、シェイプキーも削除します",
    "Stop Preview (Esc)": "プレビューを中止 (Esc)",
    "Stop what the preview of the sliders is waiting for, as the fit of a scan that has none yet":
        "スライダーのプレビューが待っている処理（まだフィットのないスキャンのフィットなど）を中止します",
    "The preview was stopped. Move a slider to start it again, or press Fit first":
        "プレビューを中止しました。スライダーを動かすと再開します。または先に「フィット」を押してください",
    "Back to Preview (Esc)": "プレビューに戻る (Esc)",
    "Show the quick preview of the sliders again in place of the new mesh, which Apply still makes":
        "新しいメッシュの代わりに、スライダーの簡易プレビューを再び表示します。「適用」では新しいメッシュが作られま"
        "す",

    # Places of a learned edit
    "Place": "場所",
    "Place {num}": "場所 {num}",
    "An object, such as an Empty, that says where a learned edit belongs on this scan. Without one Omomi finds "
    "the place":
        "学習した編集をこのスキャンのどこに施すかを示すオブジェクト（エンプティなど）。なければOmomiが場所を探しま"
        "す",
    "Use": "使用",
    "Whether the edit acts at this place": "この場所に編集を施すか",
    "Place at 3D Cursor": "3Dカーソルに配置",
    "Say where the edit belongs on this scan: at the 3D cursor. An Empty marks the place; move it to correct it":
        "このスキャンで編集を施す場所を3Dカーソルの位置にします。エンプティが目印になり、動かして修正できます",
    "Place at Selected Vertex": "選択頂点に配置",
    "Say where the edit belongs on this scan: at the vertex selected in Edit Mode. An Empty marks it; move that":
        "このスキャンで編集を施す場所を、編集モードで選択した頂点にします。エンプティが目印になり、動かして修正でき"
        "ます",
    "Clear Place": "場所をクリア",
    "Let Omomi find again where the edit belongs; the Empty that marked the place is removed":
        "編集を施す場所を再びOmomiに探させます。目印のエンプティは削除されます",
    "3D Cursor to Place": "3Dカーソルを場所へ",
    "Show where this place is: move the 3D cursor there": "3Dカーソルを移動して、この場所を示します",
    "Counted from 1": "1から数えた番号",
    "Find Places": "場所を検索",
    "Find the places of the part that each learned edit of the active object changes, as the preview does":
        "アクティブオブジェクトの学習済みの各編集について、変化させる部分の場所をプレビューと同じように探します",
    "{name} is deleted, so Omomi finds the place by itself": "{name}は削除されたので、Omomiが場所を探します",

    # Safe range and solve
    "The least strength to try; 0 is no edit": "試す強さの下限。0は編集なし",
    "The greatest strength; 0 is no edit": "試す強さの上限。0は編集なし",
    "List All Changes": "すべての変化を一覧",
    "Write all changes of the topology along the active edit into a text of this file":
        "アクティブな編集に沿ったトポロジーの変化をすべて、このファイルのテキストに書き出します",
    "{num} more change": "ほか{num}件の変化",
    "{num} more changes": "ほか{num}件の変化",
    "'{name}' in the Text Editor lists all changes": "すべての変化はテキストエディターの「{name}」にあります",
    "Find Safe Range": "安全範囲を検索",
    "Find out how far the active edit goes before pieces, tunnels or hollows come or go; Esc cancels":
        "アクティブな編集で、パーツ、トンネル、空洞の数が変わらない強さの範囲を調べます。Escでキャンセル",
    "Outside of it pieces, tunnels or hollows come or go": "この範囲の外では、パーツ、トンネル、空洞の数が変わります",
    "From": "下限",
    "To": "上限",
    "Steps": "ステップ",
    "At least this many": "少なくともこの数",
    "Picture": "画像",
    "SVG file to write": "書き出すSVGファイル",
    "safe {num} .. {num2} %": "安全 {num} ～ {num2} %",
    "safe about {num} .. {num2} %": "安全 およそ {num} ～ {num2} %",
    "safe range not measured": "安全範囲は未測定",
    "Above 0 no difference is seen on this scan while its topology stays":
        "0より上では、このスキャンのトポロジーが保たれる間、違いは見えません",
    "Below 0 no difference is seen on this scan while its topology stays":
        "0より下では、このスキャンのトポロジーが保たれる間、違いは見えません",
    "No difference is seen on this scan while its topology stays":
        "このスキャンのトポロジーが保たれる間、違いは見えません",
    "Find the strength for a measure": "寸法に合う強さを探す",
    "Solve": "強さを求める",
    "Find the strength of the active edit at which a measure has the wanted value; Esc cancels":
        "寸法が希望の値になる、アクティブな編集の強さを求めます。Escでキャンセル",
    "Measure": "寸法",
    "What to reach a value of": "どの寸法を値に合わせるか",
    "Thickness of the walls": "壁の厚み",
    "Volume": "体積",
    "Enclosed volume": "囲まれた体積",
    "Area": "面積",
    "Area of the surface": "表面積",
    "Length X": "長さ X",
    "Extent along X": "X方向の長さ",
    "Length Y": "長さ Y",
    "Extent along Y": "Y方向の長さ",
    "Length Z": "長さ Z",
    "Extent along Z": "Z方向の長さ",
    "Value": "値",
    "The value to reach, in world units: 1 is one unit of Blender, its square or its cube":
        "合わせる値。1はBlenderの1単位、またはその2乗、3乗",
    "The value to reach": "合わせる値",
    "now {value}": "現在 {value}",
    "Check says what it is now": "現在の値は「チェック」で分かります",

    # Learn
    "Change a copy of a mesh. Select the mesh, then with Shift the copy":
        "メッシュを複製して、複製を変更します。元のメッシュを選び、Shiftを押しながら複製を選んでください",
    "Select other scans and press its name in the panel Library":
        "ほかのスキャンを選び、パネル「ライブラリ」でこの名前を押してください",
    "A mesh without the edit": "編集前のメッシュ",
    "The same mesh with the edit": "編集後の同じメッシュ",
    "Learn": "学習",
    "Learn an edit from the pairs and put it in the library; Esc cancels":
        "ペアから編集を学習し、ライブラリに入れます。Escでキャンセル",
    "Add Pair": "ペアを追加",
    "Add the two selected objects as an example: the active one shows the other after the edit":
        "選択した2つのオブジェクトを例として追加します。アクティブな方が編集後の形です",
    "Pair {num}": "ペア {num}",
    "Remove Pair": "ペアを削除",
    "Remove a pair from the list; its objects stay": "ペアをリストから外します。オブジェクトは残ります",
    "Index": "インデックス",
    "Before": "前",
    "After": "後",
    "Mark": "目印",
    "An object, such as an empty, where the edit is on the mesh before. A place that you give the edit on "
    "another scan is the same place there":
        "編集前のメッシュで編集の場所を示すオブジェクト（エンプティなど）。ほかのスキャンで指定する場所は、これに対"
        "応する場所になります",
    "Name of the edit to learn": "学習する編集の名前",
    "Of the edit; else the scene's setting": "編集の名前。空欄ならシーンの設定",
    "Overwrite": "上書き",
    "Replace an edit of the same name": "同じ名前の編集を置き換えます",

    # Library and presets
    "Of the preset": "プリセットの名前",
    "Of the file, without its suffix": "拡張子を除いたファイル名",
    "What the file holds": "ファイルの内容",
    "Library": "ライブラリ",
    "Presets": "プリセット",
    "Preset": "プリセット",
    "A learned edit": "学習した編集",
    "A stack of edits": "編集のスタック",
    "The profile of a family of shapes": "形のファミリーのプロファイル",
    "Add from Library": "ライブラリから追加",
    "Add an edit of the library to the stack of the selected meshes, at the strength that its examples show":
        "ライブラリの編集を、例どおりの強さで、選択したメッシュのスタックに追加します",
    "Load Preset": "プリセットを読み込む",
    "Give the selected meshes the edits of a preset in place of those that they have":
        "選択したメッシュの編集を、プリセットの編集に置き換えます",
    "Append": "追加",
    "Keep the edits that are there": "今ある編集を残します",
    "Save Preset": "プリセットを保存",
    "Save the edits of the active object as a preset, a recipe that the command line reads as well":
        "アクティブオブジェクトの編集をプリセットとして保存します。コマンドラインでも使えるレシピです",
    "Replace a preset of the same name": "同じ名前のプリセットを置き換えます",
    "Smoother": "より滑らか",
    "Crisper": "よりくっきり",
    "Thicker walls": "厚い壁",
    "Thinner walls": "薄い壁",
    "Clay": "粘土",
    "Rename": "名前を変更",
    "Give an edit, a preset or a family of the library another name; what uses it in this file follows":
        "ライブラリの編集、プリセット、ファミリーの名前を変えます。このファイル内で使っているものにも反映されます",
    "New Name": "新しい名前",
    "Delete": "削除",
    "Delete an edit, a preset or a family of the library for good":
        "ライブラリの編集、プリセット、ファミリーを完全に削除します",
    "Import": "インポート",
    "Copy edits, presets and families into the library": "編集、プリセット、ファミリーをライブラリにコピーします",
    "Replace files of the same name": "同じ名前のファイルを置き換えます",
    "Export": "エクスポート",
    "Copy an edit, a preset or a family of the library to another folder":
        "ライブラリの編集、プリセット、ファミリーを別のフォルダーにコピーします",
    "Replace a file of the same name": "同じ名前のファイルを置き換えます",
    "Edits, presets and families of Omomi": "Omomiの編集・プリセット・ファミリー",
    "Omomi edit, preset or family": "Omomiの編集・プリセット・ファミリー",

    # Files of scans
    "Open Scan": "スキャンを開く",
    "Open scans that Blender does not read itself: points as XYZ, ASC, PTS or PCD, OFF and NPZ, with their colours and "
    "normals; LAS, LAZ and E57 where the interpreter has the packages for them. Esc cancels":
        "Blender自身では読み込めないスキャンを開きます。XYZ・ASC・PTS・PCDの点群、OFF、NPZを色と法線ごと読み込みます。"
        "LAS・LAZ・E57は、インタープリターに対応するパッケージがある場合に読み込めます。Escでキャンセル",
    "Scans that Blender does not read": "Blenderが読み込めないスキャン",
    "Scan (.xyz, .pts, .pcd, .off, .npz, .e57)": "スキャン（.xyz、.pts、.pcd、.off、.npz、.e57）",

    # Blend
    "Blend": "ブレンド",
    "Make a mesh NAME.blend between the active object and another; Esc cancels":
        "アクティブオブジェクトと別のオブジェクトの中間のメッシュ「名前.blend」を作ります。Escでキャンセル",
    "With": "相手",
    "Other": "相手",
    "The object to blend with": "ブレンドする相手のオブジェクト",
    "Name of the other object; else the scene's setting": "相手のオブジェクトの名前。空欄ならシーンの設定",
    "Share": "割合",
    "0 is this object, 1 is the other": "0はこのオブジェクト、1は相手",
    "Guarded": "トポロジーを保つ",
    "Take the path that keeps the topology, where there is one": "可能なら、トポロジーを保つ経路を通ります",
}  # fmt: skip
