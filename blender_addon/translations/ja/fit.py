"""Japanese for the panels Fit and Holes."""

TEXTS = {
    # Fit
    "Fit": "フィット",
    "Fit Again": "再フィット",
    "Fit {num} Objects": "{num}個のオブジェクトをフィット",
    "Fit {num} Objects Again": "{num}個のオブジェクトを再フィット",
    "Fit with Omomi": "Omomiでフィット",
    "Fit a surface to every selected mesh, as its modifiers show it: closed, or open where the mesh is a "
    "sheet. A fit is made again from its scan, in its place; Esc cancels":
        "選択したすべてのメッシュに、モディファイアー適用後の形でサーフェスをフィットします。結果は閉じたメッシュで"
        "す（シートの場合は開いたまま）。フィット済みのものは元のスキャンから同じ場所に作り直します。Escでキャンセ"
        "ル",
    "Cancel": "キャンセル",
    "Stop the running job; finished results stay": "実行中の処理を止めます。完了した結果は残ります",
    "Detail": "細かさ",
    "Resolution of the fitted field": "フィットの解像度",
    "32 voxels along the longest side; a first idea": "最長辺に32ボクセル。大まかな確認用",
    "64 voxels along the longest side; rough": "最長辺に64ボクセル。粗め",
    "128 voxels along the longest side; the usual choice": "最長辺に128ボクセル。通常はこれを使います",
    "256 voxels along the longest side; fine": "最長辺に256ボクセル。細かい",
    "512 voxels along the longest side; very fine, slow": "最長辺に512ボクセル。とても細かく、時間がかかります",
    "1024 voxels along the longest side; needs much memory": "最長辺に1024ボクセル。多くのメモリが必要です",
    "Read as": "種類",
    "What kind of thing the mesh is, which decides what of it counts":
        "メッシュが何を表すか。どの面を有効とするかが決まります",
    "Auto": "自動",
    "Find out what the mesh is. The panel says what it was read as, and why":
        "メッシュの種類を自動で判断します。判断の結果と理由はパネルに表示されます",
    "Scan": "スキャン",
    "A noisy scan, open or in pieces, of a thing with an inside. The fit smooths the noise and closes what "
    "nobody saw":
        "中身のある物体のスキャン。ノイズや穴があっても、ばらばらでもかまいません。ノイズをならし、見えなかった部分"
        "を閉じます",
    "Solid": "ソリッド",
    "A model made of closed parts that may overlap, as of boxes pushed into each other. The fit is the outside "
    "of all of them together; what lies inside goes":
        "閉じたパーツでできたモデル。重なっていてもかまいません。フィットは全体の外側の形になり、内側にあるものは消"
        "えます",
    "Sheet": "シート",
    "A surface that is meant to stay open, as a terrain, cloth or a leaf. Holes in it are closed, its outer "
    "border stays where it is, and the fit is an open mesh":
        "地形、布、葉のように開いたままのサーフェス。穴は閉じ、外側の境界はそのまま残り、フィットは開いたメッシュに"
        "なります",
    "Family": "ファミリー",
    "A family of your library: it fills unseen parts the way its members look, and Check compares the scan "
    "with it. Empty for none":
        "ライブラリのファミリー。見えなかった部分を仲間の形にならって補い、「チェック」でスキャンと比較します。空欄"
        "なら使いません",
    "Refit": "フィットし直す",
    "Fit the scan again, read as this kind of thing. The fit's object gets the new mesh and keeps its edits; "
    "one undo takes it back, Esc cancels":
        "この種類としてスキャンをフィットし直します。フィットのオブジェクトは新しいメッシュになり、編集は残ります。"
        "一度の「元に戻す」で戻せます。Escでキャンセル",
    "No, it is a": "正しい種類:",
    "Select a mesh or a point cloud to fit": "フィットするメッシュかポイントクラウドを選択してください",
    "{name}: {num} points": "{name}: 点{num}個",
    "{name}: the middles of the splats are fitted, as points": "{name}: スプラットの中心を点としてフィットします",
    "Join Views": "ビューを統合",
    "Join the selected meshes and point clouds, views of one thing, to one scan NAME.views that knows which point is "
    "of which view, and have a fit register them to one another. They are hidden and stay as they are":
        "同じ物の複数のビュー（選択したメッシュとポイントクラウド）を、各点のビュー番号を持つ1つのスキャン「名前.views」に統合し、"
        "フィットの際に位置合わせします。元のオブジェクトは隠れるだけで変わりません",
    "Select two or more views of one thing": "同じ物のビューを2つ以上選択してください",
    "Blender does not join these objects. Apply their modifiers, or make them local first.":
        "これらのオブジェクトは統合できません。先にモディファイアーを適用するか、ローカル化してください。",
    "{name} has {num} views; Fit registers them to one another":
        "{name}のビューは{num}個。フィットで互いに位置合わせします",
    "Fit Presets": "フィットのプリセット",
    "Add Fit Preset": "フィットのプリセットを追加",
    "Keep the options of a fit under a name, or remove the preset that is chosen":
        "フィットの設定に名前を付けて保存するか、選んだプリセットを削除します",
    "Refit As": "読み替えて再フィット",
    "Paint Fill Mask": "穴埋めのマスクをペイント",
    "Move Edit Up": "編集を上へ",
    "Move Edit Down": "編集を下へ",
    "Place of an Edit": "編集の位置",
    "{name}: {num} vertices": "{name}: 頂点{num}個",
    "A fit: about {num} faces at {num2}³": "フィットの面はおよそ{num}枚になります（{num2}³）",
    "{text}, points only": "{text}、点のみ",
    "{text}, closed": "{text}、閉じている",
    "{text}, open (1 border)": "{text}、開いている（境界1本）",
    "{text}, open ({num} borders)": "{text}、開いている（境界{num}本）",
    "The library has no '{name}'": "ライブラリに「{name}」がありません",

    # Options of a fit
    "What the mask is of": "何のマスクか",
    "Options": "オプション",
    "Denoise": "ノイズ除去",
    "How noisy to take the scan, against what was measured: 0 is as noisy, 1 twice and 2 four times, which "
    "smooths more; -1 is half, which keeps more detail":
        "スキャンのノイズを実測の何倍とみなすか。0は実測どおり、1は2倍、2は4倍でより滑らかに、-1は半分でより細部を"
        "残します",
    "Denoise Mask": "ノイズ除去のマスク",
    "Vertex group that says where Denoise acts; empty for everywhere":
        "ノイズ除去が働く場所を示す頂点グループ。空欄なら全体",
    "Fill": "穴埋め",
    "How eagerly openings are closed: 0 as the scan suggests, 1 as eagerly as can be, -1 reluctantly":
        "開口をどれだけ積極的に閉じるか。0はスキャンが示すとおり、1は最も積極的、-1は控えめ",
    "Fill Mask": "穴埋めのマスク",
    "Vertex group that says where Fill acts, painted around the holes; empty for everywhere":
        "穴埋めが働く場所を示す頂点グループ。穴の周りをペイントします。空欄なら全体",
    "Symmetry": "対称",
    "Where the scan is mirror-symmetric or turned, fill the unseen parts from the seen ones":
        "スキャンが左右対称か回転体の場合、見えなかった部分を見えた部分から補います",
    "Flat Base": "平らな底",
    "Close the flat bottom of what stood on a table, which no camera saw, by a plane. Untick it for a vessel "
    "that stood on its mouth":
        "台に置かれていてカメラに写らなかった底を平面で閉じます。口を下にして置いた器ではオフにしてください",
    "Continue Walls": "壁を続ける",
    "Where one side of a thin wall was not seen, such as the inside of a cup, the wall goes on as thick as where both "
    "sides were seen":
        "カップの内側のように薄い壁の片側が見えなかったところで、両側が見えたところと同じ厚みで壁を続けます",
    "Keep Islands": "離れた部分を残す",
    "Keep every separate piece that the scan supports; off keeps only the largest":
        "スキャンに裏付けのある離れた部分をすべて残します。オフにすると一番大きいものだけを残します",
    "Keep Thin Walls": "薄い壁を残す",
    "Make walls that are too thin for the level thick enough to stay, where both sides are known":
        "レベルで表せないほど薄い壁のうち両面がわかっているものを、消えない厚さにします",
    "Register Views": "ビューの位置合わせ",
    "Register the views of a scan, whose poses are slightly wrong, to one another first. The mesh has their "
    "numbers in the point attribute 'view'":
        "姿勢がわずかにずれたスキャンの各ビューを、先に互いに位置合わせします。メッシュはポイント属性「view」にビュー"
        "の番号を持ちます",
    "Sheet Thickness": "シートの厚み",
    "Make a sheet a closed solid this thick, with the sheet in its middle. 0 leaves it open":
        "シートを中心にして、この厚みの閉じたソリッドにします。0なら開いたままです",
    "Reset Options": "オプションをリセット",
    "Set all options of a fit to what they are at first": "フィットのオプションをすべて初期値に戻します",
    "Mask": "マスク",
    "Paint Mask": "マスクをペイント",
    "Paint where it acts: make a vertex group, unless one is chosen, and open Weight Paint on it":
        "働く場所をペイントします。頂点グループが未選択なら新しく作り、ウェイトペイントに切り替えます",
    "Of": "対象",
    "Edit": "編集",
    "The active edit": "アクティブな編集",
    "Option": "オプション",
    "An option of a fit": "フィットのオプション",
    "Setting": "設定",
    "Of an option: which mask": "オプションの場合、どのマスクか",

    # Result of a fit or of edits
    "Result": "結果",
    "Faces": "面数",
    "About how many faces Fewer, Quads and Bake Low-Poly leave":
        "「減らす」「四角面」「ローポリにベイク」で残すおおよその面数",
    "Fewer": "減らす",
    "Fewer Faces": "面を減らす",
    "Show the active mesh with about so many triangles, by a Decimate modifier: flat parts get few. The mesh "
    "itself stays: remove the modifier, and all faces are back":
        "アクティブなメッシュを、デシメートモディファイアーでおおよその三角面数まで減らして表示します。平らな部分は少"
        "なくなります。メッシュ自体は変わらず、モディファイアーを外せば元に戻ります",
    "Quads": "四角面",
    "Make a copy NAME.quads of the active mesh, of about so many quads, by Blender's QuadriFlow, and hide the "
    "mesh":
        "BlenderのQuadriFlowで、アクティブなメッシュからおおよその数の四角面でできた複製「名前.quads」を作り、元の"
        "メッシュを隠します",
    "Make a mesh with faces active": "面のあるメッシュをアクティブにしてください",
    "{name} has {num} triangles already. Ask for fewer": "{name}の三角面は{num}個です。それより少なく指定してください",
    "{name} shows {num} of its {num2} triangles": "{name}: 三角面{num2}個のうち{num}個を表示しています",
    "{name}: {num} quads": "{name}: 四角面{num}個",
    "QuadriFlow makes no quads of {name}. It needs a closed mesh without faces that cross":
        "QuadriFlowは{name}を四角面にできません。交差する面のない閉じたメッシュが必要です",
    "What becomes of the result": "結果をどう残すか",
    "Shape key": "シェイプキー",
    "Edits move the object's own vertices, as a shape key; a fit makes a new mesh":
        "編集はオブジェクト自身の頂点をシェイプキーとして動かします。フィットは新しいメッシュを作ります",
    "New mesh": "新規メッシュ",
    "Make a new object NAME.fit or NAME.edit in the same place and hide the scan":
        "同じ場所に新しいオブジェクト「名前.fit」または「名前.edit」を作り、スキャンを隠します",
    "Replace": "置き換え",
    "Give the scan's object the new mesh; the old mesh is kept as NAME.original":
        "スキャンのオブジェクトに新しいメッシュを入れます。元のメッシュは「名前.original」として残ります",

    # Other completions
    "Other Completions": "別の補完",
    "How Many": "個数",
    "How many other completions to make": "別の補完をいくつ作るか",
    "Complete Otherwise": "別の補完を作る",
    "Fit the scan again a few times and fill what was not seen in other likely ways, to pick one. What was "
    "measured stays, and so does the fit until you pick; Esc cancels":
        "スキャンを数回フィットし直し、見えなかった部分を別のありそうな形で補い、その中から選べるようにします。実測"
        "部分は変わらず、選ぶまでは今のフィットも残ります。Escでキャンセル",
    "Show": "表示",
    "Show this one and hide the others": "これを表示し、ほかを隠します",
    "Pick": "採用",
    "Keep this one as the fit and remove the others; the mesh that the fit had stays in the file as "
    "NAME.original":
        "これをフィットとして残し、ほかを削除します。以前のメッシュは「名前.original」としてファイルに残ります",
    "Of the object; else the active one": "オブジェクトの名前。空欄ならアクティブなもの",
    "Make a fitted scan active": "フィットしたスキャンをアクティブにしてください",
    "The fit": "今のフィット",
    "Completion {num}": "補完 {num}",

    # Holes
    "Holes": "穴",
    "Find Holes": "穴を検索",
    "List the holes of the selected meshes and number them in the view. Openings that seem to be meant, as the "
    "mouth of a jug or the outer border of a terrain, are listed without a tick":
        "選択したメッシュの穴を一覧にし、ビューに番号を表示します。水差しの口や地形の外周のように意図した開口部と思"
        "われるものは、チェックなしで並びます",
    "Show Holes": "穴を表示",
    "Show or hide the borders and numbers of the holes of the active object in the view; Esc hides them too":
        "アクティブオブジェクトの穴の境界と番号を、ビューに表示したり隠したりします。Escでも隠せます",
    "Hide Holes": "穴を隠す",
    "Hide the borders and numbers of holes in the view": "ビューの穴の境界と番号を隠します",
    "Close Holes": "穴を閉じる",
    "Close the ticked holes of the selected meshes, or all holes where you have not looked for them. Every "
    "vertex, face, UV, colour, weight and shape key stays as it is; new ones are added to them. Esc cancels":
        "選択したメッシュのチェックした穴を閉じます。検索していないメッシュではすべての穴を閉じます。今ある頂点、面"
        "、UV、カラー、ウェイト、シェイプキーはそのままで、新しいものが追加されます。Escでキャンセル",
    "Close": "閉じ方",
    "What a hole is closed with": "穴を何で閉じるか",
    "The best for each hole: flat or smooth where the surface runs straight on, else what the fit or the other "
    "side of a symmetric mesh shows there":
        "穴ごとに最適な方法。周りの面がそのまま続く所は平らか滑らかに、それ以外はフィットや、対称なメッシュの反対側"
        "の形で閉じます",
    "Flat": "平ら",
    "As flat as the border of the hole allows": "穴の境界が許す限り平らに閉じます",
    "Smooth": "滑らか",
    "Go on as the surface around the hole does": "穴の周りの面を延長するように閉じます",
    "Model": "モデル",
    "What the fitted surface shows there, also where the surface around runs straight on":
        "周りの面がそのまま続く所でも、フィットしたサーフェスの形で閉じます",
    "Smaller Than": "最大半径",
    "Close holes of a smaller radius only; 0 for any size":
        "これより半径の小さい穴だけを閉じます。0なら大きさを問いません",
    "Whether Close Holes closes this one": "「穴を閉じる」でこの穴を閉じるか",
    "Active Hole": "アクティブな穴",
    "hole": "穴",
    "opening": "開口部",
    "radius {value}": "半径 {value}",
    "An opening: {text}": "開口部: {text}",
    # Low-poly
    "Bake Low-Poly": "ローポリにベイク",
    "Make a copy NAME.low of the active mesh, of about so many triangles, with a UV map and a material whose images "
    "hold the detail: normals, colours and sigma, baked by Cycles. The mesh is hidden":
        "アクティブなメッシュの、およそこの数の三角形からなるコピー「名前.low」を作ります。UVマップと、細部（法線、"
        "カラー、シグマ）をCyclesでベイクした画像のマテリアルが付きます。元のメッシュは隠れます",
    "Image Size": "画像サイズ",
    "Pixels along a side of each image": "各画像の一辺のピクセル数",
    "{name}: {num} triangles with baked detail": "{name}: 三角形{num}枚、細部をベイク済み",
    "Detail is baked by Cycles. Enable its add-on, Cycles Render Engine, in Blender's preferences.":
        "細部のベイクにはCyclesを使います。プリファレンスでアドオン「Cycles Render Engine」を有効にしてください。",
    "Cycles could not bake {name}. Its own message says why.":
        "Cyclesで{name}をベイクできませんでした。理由はCyclesのメッセージにあります。",
}  # fmt: skip
