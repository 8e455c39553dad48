"""Japanese for the panels Check, Family and Imagine, the preferences, and what Blender's menus say."""

TEXTS = {
    # Check and audit
    "Which colours": "どの色を表示するか",
    "Check": "チェック",
    "Count pieces and tunnels, measure, say how usual the shape is, and paint on the object how sure its "
    "surface is; with a family chosen also where it departs from that. Esc cancels":
        "パーツとトンネルを数え、寸法を測り、形がどれほど自然かを調べ、サーフェスの確かさをオブジェクトに色で示しま"
        "す。ファミリーを選ぶと、そこから外れる場所も示します。Escでキャンセル",
    "Show or hide what a check found, as colours": "チェックの結果を色で表示したり隠したりします",
    "What": "対象",
    "Uncertainty": "不確かさ",
    "Colour the object by how sure its surface is: blue is measured, orange is guessed":
        "サーフェスの確かさで色分けします。青は実測、オレンジは推測です",
    "Departure": "ファミリーとの差",
    "Colour the object by where it departs from its family: orange stands out, blue falls short, grey is only "
    "noise":
        "ファミリーから外れる場所で色分けします。オレンジは突出、青は不足、灰色はノイズの範囲です",
    "Hide Colours": "色を隠す",
    "Colour the views as before the check": "ビューの色をチェック前に戻します",
    "Error to expect": "予想される誤差",
    "measured": "実測",
    "guessed": "推測",
    "Departure from the family": "ファミリーとの差",
    "falls short": "不足",
    "stands out": "突出",
    "The fit of a sheet is an open mesh: it has no inside, volume or tunnels":
        "シートのフィットは開いたメッシュなので、内側、体積、トンネルはありません",
    "Audit": "監査",
    "Write a page with pictures that says what the model knows, how far its sliders reach, how far to trust "
    "it, and where the active object lies among what it was trained on; it opens in the browser. Esc cancels":
        "モデルが知っていること、スライダーの届く範囲、信頼の目安、学習データの中でのアクティブオブジェクトの位置を"
        "、画像付きのページに書き出し、ブラウザーで開きます。Escでキャンセル",
    "Page": "ページ",
    "HTML file to write; empty for a temporary one": "書き出すHTMLファイル。空欄なら一時ファイル",
    "Place the Active Object": "アクティブオブジェクトを含める",
    "Also say where the active object lies": "アクティブオブジェクトの位置も示します",
    "Against": "比較対象",
    "The card of an older model, to be compared with": "比較する古いモデルのカード",

    # Family
    "Learn Family": "ファミリーを学習",
    "Learn what 10 to 80 selected meshes of one kind have in common and how they differ. The family goes into "
    "the library: it completes scans of that kind and shows where one departs from it; Esc cancels":
        "選択した同じ種類のメッシュ10～80個から、共通点と違いを学習します。ファミリーはライブラリに入り、その種類の"
        "スキャンを補完し、外れる場所を示します。Escでキャンセル",
    "Name of the new family": "新しいファミリーの名前",
    "Of the family; else the scene's setting": "ファミリーの名前。空欄ならシーンの設定",
    "Replace a family of the same name": "同じ名前のファミリーを置き換えます",
    "Use Family": "ファミリーを使う",
    "Use this family: fits fill what is unseen as its members look, and Check compares with it. Press again: "
    "none":
        "このファミリーを使います。フィットは見えなかった部分を仲間の形にならって補い、「チェック」はスキャンと比較"
        "します。もう一度押すと解除します",
    "Of the family; empty for none": "ファミリーの名前。空欄なら使いません",

    # Imagine
    "Imagine": "形を生成",
    "Imagine with Omomi": "Omomiで形を生成",
    "Sample new shapes from the model and place them in a row that starts at the 3D cursor, as large as the "
    "active mesh or the others; Esc cancels":
        "モデルから新しい形を生成し、3Dカーソルから一列に並べます。大きさはアクティブなメッシュ、または他のメッシュに合わせます。"
        "Escでキャンセル",
    "Imagined": "想像した形",
    "Mark No Data": "データなしを表示",
    "Mark what the scan does not show with a material, and as the point attribute 'omomi_no_data' for other modifiers "
    "and shaders, by a modifier that leaves the mesh as it is; once more removes it":
        "スキャンに写っていない部分に、マテリアルと、他のモディファイアーやシェーダー用のポイント属性「omomi_no_data」で印を付けます。"
        "メッシュを変えないモディファイアーを使い、もう一度押すと外れます",
    "Fit or check it first": "先にフィットかチェックをしてください",
    "{name} is shown as it is": "{name}を元のまま表示しています",
    "{name} is marked where its scan shows nothing": "{name}の、スキャンに写っていない部分に印を付けました",
    "Omomi No Data": "Omomi データなし",
    "Error Above": "これを超える誤差",
    "Places with a larger standard deviation count as guessed": "標準偏差がこれより大きい場所は推測とみなします",
    "Seed": "シード",
    "The same number gives the same shape again": "同じ番号からは同じ形が生成されます",
    "How many shapes, from this seed on": "このシードからいくつ生成するか",

    # Preferences and the backend process
    "What the backend process computes on": "バックエンドが計算に使うもの",
    "Device": "デバイス",
    "Automatic": "自動",
    "A GPU where one does the same in less time, else the processor":
        "同じ結果をより速く出せるGPUがあればGPU、なければCPU",
    "CPU": "CPU",
    "The processor only": "CPUのみ",
    "GPU (CUDA)": "GPU (CUDA)",
    "GPU (WebGPU)": "GPU (WebGPU)",
    "Any GPU, by the package onnxruntime-ep-webgpu; an error that says why where it cannot":
        "パッケージonnxruntime-ep-webgpuによる任意のGPU。使えない場合は理由をエラーで示します",
    "An NVIDIA GPU; an error that says why where it cannot be used":
        "NVIDIAのGPU。使えない場合は理由をエラーで示します",
    "Threads": "スレッド",
    "Processor threads of the backend process; 0 leaves the choice to it": "バックエンドのスレッド数。0なら自動",
    "Memory Bound (MB)": "メモリ上限 (MB)",
    "Refuse a fit that would need more than this; 0 sets no bound":
        "これより多くのメモリが必要なフィットを行いません。0なら上限なし",
    "Log File": "ログファイル",
    "Where the backend process writes; empty for the extension's user folder":
        "バックエンドのログの書き込み先。空欄なら拡張機能のユーザーフォルダー",
    "Folder of your own edits and presets; empty for Blender's user folder":
        "自分の編集とプリセットのフォルダー。空欄ならBlenderのユーザーフォルダー",
    "Python": "Python",
    "Another Python to run the backend process, with its own onnxruntime; empty for Blender's own":
        "バックエンドを動かす別のPython（onnxruntime入り）。空欄ならBlenderのもの",
    "Log: {name}": "ログ: {name}",
    "Doctor": "診断",
    "Start the backend process and report the device in use, and the reason where it is not the GPU":
        "バックエンドを起動し、使用中のデバイスと、GPUでない場合はその理由を報告します",
    "Restart": "再起動",
    "End the backend process; the next fit starts a new one":
        "バックエンドを終了します。次のフィットで新しく起動します",
    "Open Log": "ログを開く",
    "Show the log of the backend process": "バックエンドのログを表示します",
    "Wait": "待つ",
    "Return when it is done instead of running in the background": "バックグラウンドで実行せず、終わるまで待ちます",
    "The backend starts with the first fit": "バックエンドは最初のフィットで起動します",
    "Omomi": "Omomi",
}  # fmt: skip
