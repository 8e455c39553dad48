"""Japanese for why something cannot be done, and what to do next."""

TEXTS = {
    # Why something cannot be started
    "Omomi is working; press Esc to cancel that first": "Omomiは処理中です。先にEscでキャンセルしてください",
    "A fit is running; press Esc to cancel it first": "フィットの実行中です。先にEscでキャンセルしてください",
    "A fit is running; cancel it first": "フィットの実行中です。先にキャンセルしてください",
    "Leave Edit Mode first (Tab)": "先に編集モードを終えてください (Tab)",
    "Leave Edit Mode first (Tab), then Fit": "先に編集モードを終えて (Tab)、フィットしてください",
    "Select at least one mesh or point cloud to fit": "フィットするメッシュかポイントクラウドを1つ以上選択してください",
    "Select at least one mesh object": "メッシュオブジェクトを1つ以上選択してください",
    "{name} has not been fitted; press Fit first":
        "{name}はまだフィットされていません。先に「フィット」を押してください",
    "{name} is linked from another file": "{name}は別のファイルからリンクされています",
    "{name} is linked from another file, so it cannot be painted":
        "{name}は別のファイルからリンクされているため、ペイントできません",
    "Add an edit first": "先に編集を追加してください",
    "Choose an edit that was learned from examples": "例から学習した編集を選んでください",
    "Select a vertex in Edit Mode first (Tab)": "先に編集モードで頂点を選択してください (Tab)",
    "No holes are shown": "穴は表示されていません",
    "No colours of a check are shown": "チェックの色は表示されていません",
    "Select the mesh before the edit, then the mesh after it":
        "編集前のメッシュ、編集後のメッシュの順に選択してください",
    "{num} pairs are the most; remove one first": "ペアは{num}個までです。先に1つ削除してください",
    "Add a pair first: the mesh before the edit and the mesh after it":
        "先にペア（編集前と編集後のメッシュ）を追加してください",
    "Select {num} to {num2} meshes of one kind ({num3} are selected)":
        "同じ種類のメッシュを{num}～{num2}個選択してください（現在{num3}個）",

    # Files of the library
    "Added '{name}'": "「{name}」を追加しました",
    "{name} has the edits of '{name2}'": "{name}に「{name2}」の編集を読み込みました",
    "Saved '{name}'": "「{name}」を保存しました",
    "'{name}' is now '{name2}'": "「{name}」を「{name2}」に変更しました",
    "Deleted '{name}'": "「{name}」を削除しました",
    "Imported {name}": "{name}をインポートしました",
    "Exported {name}": "{name}をエクスポートしました",
    "'{name}' is a built-in preset, which cannot be changed. Choose another name.":
        "「{name}」は組み込みのプリセットなので変更できません。別の名前を選んでください。",
    "There is no built-in edit '{name}'. The preset was made with another Omomi.":
        "組み込みの編集「{name}」はありません。プリセットは別のバージョンのOmomiで作られました。",
    "The '{name}' of the library is not the edit that the preset was made with. Import it.":
        "ライブラリの「{name}」は、プリセットを作ったときの編集と異なります。正しいものをインポートしてください。",
    "The library has no '{name}'. Choose another, or import it again.":
        "ライブラリに「{name}」がありません。別のものを選ぶか、もう一度インポートしてください。",
    "'{name}' is not a valid name: {text}. Choose another.":
        "「{name}」は名前に使えません: {text}。別の名前を選んでください。",
    "it must have 1 to {num} characters": "1～{num}文字にしてください",
    "all its characters must be printable": "表示できる文字だけを使ってください",
    "it must contain none of {name}": "次の文字は使えません {name}",
    "it must not begin or end with a dot or a space": "先頭と末尾に点や空白は使えません",
    "Windows reserves it for a device": "Windowsの予約名です",
    "The library has a '{name}' already. Choose another name, or allow overwriting.":
        "ライブラリに「{name}」がすでにあります。別の名前を選ぶか、上書きを許可してください。",
    "There is a '{name}' already. Choose another name.": "「{name}」はすでにあります。別の名前を選んでください。",
    "There is a '{name}' already. Allow overwriting, or rename it first.":
        "「{name}」はすでにあります。上書きを許可するか、先に名前を変えてください。",
    "{name} is neither an edit (*{name2}), a preset (*{name3}) nor a family (*{name4}). Choose another file.":
        "{name}は編集 (*{name2})、プリセット (*{name3})、ファミリー (*{name4}) のいずれでもありません。別のファイル"
        "を選んでください。",
    "There is no file {name}. Choose another.": "ファイル {name} がありません。別のものを選んでください。",
    "The folder of the library cannot be made: {name}": "ライブラリのフォルダーを作れません: {name}",
    "{name} cannot be read: {text}": "{name}を読み込めません: {text}",
    "{name} cannot be read": "{name}を読み込めません",
    "{name} cannot be written: {text}": "{name}に書き込めません: {text}",
    "The library folder": "ライブラリのフォルダー",
    "{name} is beside the open file, which was never saved. Save it first, or give a whole path.":
        "{name}は開いているファイルからの相対パスですが、ファイルはまだ保存されていません。先に保存するか、完全なパスを"
        "指定してください。",
    "it does not exist": "存在しません",
    "its folder does not exist": "フォルダーが存在しません",
    "it is not a file": "ファイルではありません",
    "no file can have this name": "ファイル名として使えません",
    "this user may not": "このユーザーには権限がありません",
    "its disk is read-only": "ディスクが読み取り専用です",
    "the disk is full": "ディスクがいっぱいです",
    "the disk space of this user is used up": "このユーザーのディスク容量を使い切っています",
    "the disk has a fault": "ディスクに障害があります",
    "it is a folder": "フォルダーです",
    "a part of its path is not a folder": "パスの途中がフォルダーではありません",
    "it exists already": "すでに存在します",
    "its name is too long": "名前が長すぎます",
    "it is not a program of this system": "このシステムのプログラムではありません",
    "another program uses it": "ほかのプログラムが使用しています",
    "too many files are open": "開いているファイルが多すぎます",
    "it is larger than {num} MiB": "{num} MiBを超えています",
    "it is not an edit that this Omomi knows": "このOmomiが読める編集ではありません",
    "it is not a profile in a format that this Omomi reads": "このOmomiが読める形式のファミリーではありません",
    "it is not a card": "モデルカードではありません",
    "its header is longer than {num} bytes, or it is no file of arrays":
        "ヘッダーが{num}バイトを超えているか、配列のファイルではありません",
    "its header does not begin with a brace": "ヘッダーが波かっこで始まっていません",
    "its header does not describe its data": "ヘッダーの記述がデータと合いません",
    "its parts do not fit together": "中身が互いに合いません",
    "the parts of its delta do not fit together": "デルタの中身が互いに合いません",
    "the array {name} holds a value that is not finite": "配列{name}に有限でない値があります",
    "it has no proper table {name}": "正しい表{name}がありません",
    "{name} is not JSON": "{name}はJSONではありません",
    "{name} is not an object": "{name}はオブジェクトではありません",
    "the key {name} stands in it twice": "キー{name}が2回出てきます",
    "it is of version {name}, and this Omomi knows version {num}":
        "バージョン{name}のファイルですが、このOmomiが読めるのはバージョン{num}です",
    "it has no edits": "編集がありません",
    "the strength of '{name}' is beyond {num}": "「{name}」の強さが{num}を超えています",
    "the mask of '{name}' is not a vertex group": "「{name}」のマスクが頂点グループではありません",

    # Errors, and what to do next
    "Press Fit": "「フィット」を押してください",
    "Press {text}": "「{text}」を押してください",
    "Move the slider": "スライダーを動かしてください",
    "{text} to start again": "もう一度始めるには、{text}",
    "{text} to open it again": "もう一度開くには、{text}",
    "{text} to try again, or {text2}": "もう一度試すには、{text}。または、{text2}",
    "Press Restart, or {text}": "「再起動」を押すか、{text}",
    "To report it, {text}": "報告するには、{text}",
    "open the log from the Omomi preferences": "Omomiのプリファレンスからログを開いてください",
    "There is no log yet: the backend process has not run": "ログはまだありません。バックエンドがまだ起動していません",
    "The scan has no points": "スキャンに点がありません",
    "Select a mesh object that has vertices": "頂点のあるメッシュオブジェクトを選択してください",
    "{name} has no vertices": "{name}には頂点がありません",
    "{name} is scaled to zero on at least one axis": "{name}のスケールが少なくとも1つの軸で0です",
    "{name} was deleted in the meantime": "{name}はその間に削除されました",
    "{name} has changed in the meantime": "{name}はその間に変わりました",
    "The scan has too few usable points": "スキャンの使える点が少なすぎます",
    "{name} has only {num} usable points; at least {num2} are needed":
        "{name}の使える点は{num}個だけです。{num2}個以上必要です",
    "Select a denser scan": "もっと密なスキャンを選択してください",
    "The scan is flat, so it encloses nothing": "スキャンが平らなので、何も囲んでいません",
    "All points of {name} lie on a plane or a line; a solid has to have depth":
        "{name}の点はすべて平面か直線の上にあります。ソリッドには奥行きが必要です",
    "Check its scale and its shape in the viewport": "スケールと形をビューポートで確認してください",
    "No point of the scan has a finite position": "スキャンに有効な座標の点がありません",
    "Import the scan again": "スキャンをもう一度インポートしてください",
    "The file cannot be read": "ファイルを読み込めません",
    "Check that it is complete and export it again": "壊れていないか確認し、もう一度エクスポートしてください",
    "This is neither a mesh nor a point cloud": "メッシュでもポイントクラウドでもありません",
    "Convert it to a mesh first": "先にメッシュに変換してください",
    "The scan is too large": "スキャンが大きすぎます",
    "Decimate it or split it into parts": "ポリゴン数を減らすか、分割してください",
    "A setting is out of range": "設定が範囲外です",
    "Set it to its default value": "初期値に戻してください",
    "The model of the extension is missing": "拡張機能のモデルがありません",
    "The model does not belong to this version": "モデルがこのバージョンのものではありません",
    "Install the extension again": "拡張機能をインストールし直してください",
    "The device asked for cannot be used": "指定のデバイスは使えません",
    "Choose Automatic in the Omomi preferences": "Omomiのプリファレンスで「自動」を選んでください",
    "There was not enough memory": "メモリが足りません",
    "Choose a lower detail, or close other programs": "細かさを下げるか、ほかのプログラムを閉じてください",
    "The job was cancelled": "処理はキャンセルされました",
    "The backend process did not start": "バックエンドが起動しませんでした",
    "The backend process ended unexpectedly": "バックエンドが予期せず終了しました",
    "The backend process stopped answering": "バックエンドが応答しなくなりました",
    "The backend process sent an invalid message": "バックエンドから無効なメッセージが届きました",
    "The backend process sent no attributes": "バックエンドから属性が届きませんでした",
    "The backend process sent no positions": "バックエンドから座標が届きませんでした",
    "The backend process sent no mesh": "バックエンドからメッシュが届きませんでした",
    "The backend process did not say what became of each edit": "バックエンドから各編集の結果が届きませんでした",
    "The backend process belongs to another version": "バックエンドが別のバージョンのものです",
    "Restart Blender to finish the update": "Blenderを再起動して更新を完了してください",
    "A file could not be written": "ファイルを書き込めませんでした",
    "Free some space, or choose another folder": "空き容量を増やすか、別のフォルダーを選んでください",
    "No surface was found": "サーフェスが見つかりませんでした",
    "No surface was found in {name}. {text}": "{name}にサーフェスが見つかりませんでした。{text}",
    "Raise Fill, lower Denoise, or clean the scan of stray points":
        "「穴埋め」を上げるか、「ノイズ除去」を下げるか、スキャンの余分な点を取り除いてください",
    "The scan does not look like the examples": "スキャンが例と似ていません",
    "{name} does not look like the examples of this edit": "{name}はこの編集の例と似ていません",
    "{name} does not look like the family of this profile": "{name}はこのファミリーと似ていません",
    "Use it on scans of the same kind of object": "同じ種類の物体のスキャンに使ってください",
    "The scan fits the examples in more than one pose": "スキャンが複数の向きで例に合います",
    "An edit can be placed by hand: press Place at 3D Cursor":
        "編集は手で配置できます。「3Dカーソルに配置」を押してください",
    "The place of the edit is not at the surface of the scan": "編集の場所がスキャンのサーフェス上にありません",
    "Move its object there, or press Clear Place":
        "目印のオブジェクトをサーフェスに動かすか、「場所をクリア」を押してください",
    "The backend process no longer holds this scan": "バックエンドはもうこのスキャンを保持していません",
    "No strength reaches this measure": "この寸法になる強さはありません",
    "Ask for a value nearer to the present one, or use another edit":
        "今の値に近い値にするか、別の編集を使ってください",
    "An unexpected error occurred in the backend process": "バックエンドで予期しないエラーが起きました",
    "{name} and {num} more: {text}": "{name}ほか{num}個: {text}",
    "The installed package holds no libraries for Python {name} on this system, {text}. Install the package "
    "for this Blender, or name a Python that has onnxruntime in the Omomi preferences.":
        "インストールされたパッケージには、このシステムのPython {name}用のライブラリがありません（{text}）。この"
        "Blender用のパッケージをインストールするか、onnxruntime入りのPythonをOmomiのプリファレンスで指定してくださ"
        "い。",
    "only for {name}": "{name}用のみ",
    "nor any others": "ほかのものもなし",
    "Runs on {name}": "{name}で動作",
    "Runs on the CPU, as chosen in the preferences": "プリファレンスの選択どおりCPUで動作",
    "Runs on the CPU: this ONNX Runtime is built without GPU support": "CPUで動作: このONNX RuntimeはGPU非対応です",
    "Runs on the CPU: a session on the GPU could not be run, the log says why":
        "CPUで動作: GPUで実行できませんでした。理由はログにあります",
    "Backend {name} (protocol {name2}), model {name3}, process {name4}":
        "バックエンド {name}（プロトコル {name2}）、モデル {name3}、プロセス {name4}",
    "ONNX Runtime {name} with {name2}; numpy {name3}": "ONNX Runtime {name}（{name2}）、numpy {name3}",
}  # fmt: skip
