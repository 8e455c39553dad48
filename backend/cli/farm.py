"""``omomi farm``: the job of a render farm or a cluster that runs a batch in shards."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import refuse
from ..formats.files import write_whole
from .arguments import MakeEngine, folder, integer, report
from .batch_record import keep_recipe
from .paths import scans_of, spare_folders

CHUNK = 10
"""Shards that one task takes by default: few enough to share out evenly, many enough to load the model rarely."""


def add(verbs: Any, parents: list[argparse.ArgumentParser]) -> None:
    farm = verbs.add_parser("farm", parents=parents[:1], help="write the job of a farm that runs a batch in shards")
    farm.add_argument("kind", choices=sorted(_KINDS))
    farm.add_argument("recipe", type=Path, metavar="RECIPE")
    farm.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    farm.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="of the batch; the job lies there"
    )
    farm.add_argument("--shards", type=integer(1, 100_000), metavar="N", help="as many as scans, unless given")
    farm.add_argument("--chunk", type=integer(1, 150), default=CHUNK, metavar="N", help="shards that one task takes")
    farm.set_defaults(run=_run, misuse=farm.error)


def _run(arguments: argparse.Namespace, make_engine: MakeEngine) -> int:
    scans = scans_of(arguments.scans)
    spare_folders(arguments.output, scans)
    output = folder(arguments.output).resolve()
    # What every node reads is the recipe as it is now.
    recipe = keep_recipe(arguments.recipe, output)
    named = [str(path.resolve()) for path in arguments.scans]
    words = ["omomi", "batch", str(recipe.path), *named, "-o", str(output), "--shard"]
    suffix, write = _KINDS[arguments.kind]
    path = output / f"omomi-batch{suffix}"
    text = write(words, ["omomi", "merge", str(output)], arguments.shards or len(scans), arguments.chunk)
    write_whole(path, text.encode())
    return report(arguments, {"output": str(path), "scans": len(scans)}, f"{path}: {len(scans)} scans")


def openjd(batch: Sequence[str], merge: Sequence[str], shards: int, chunk: int) -> str:
    """An Open Job Description template, 2023-09, with the extension for chunks of tasks."""
    if any("{{" in word for word in (*batch, *merge)):
        refuse("a path with {{ in it cannot stand in a job template")

    def script(words: Sequence[str]) -> dict[str, Any]:
        return {"actions": {"onRun": {"command": words[0], "args": list(words[1:])}}}

    shard = {
        "name": "Shard",
        "type": "CHUNK[INT]",
        "range": f"1-{shards}",
        "chunks": {"defaultTaskCount": min(chunk, shards), "rangeConstraint": "CONTIGUOUS"},
    }
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "extensions": ["TASK_CHUNKING"],
        "name": "Omomi batch",
        "steps": [
            {
                "name": "Batch",
                "parameterSpace": {"taskParameterDefinitions": [shard]},
                "script": script([*batch, f"{{{{Task.Param.Shard}}}}/{shards}"]),
            },
            {"name": "Merge", "dependencies": [{"dependsOn": "Batch"}], "script": script(merge)},
        ],
    }
    return json.dumps(template, indent=1) + "\n"


def slurm(batch: Sequence[str], merge: Sequence[str], shards: int, chunk: int) -> str:
    """A script for sbatch: an array with a task for every chunk of shards."""
    tasks = -(-shards // chunk)
    return f"""#!/bin/bash
#SBATCH --job-name=omomi
#SBATCH --array=1-{tasks}
# Afterwards: {shlex.join(merge)}
first=$(( (SLURM_ARRAY_TASK_ID - 1) * {chunk} + 1 ))
last=$(( SLURM_ARRAY_TASK_ID * {chunk} ))
exec {shlex.join(batch)} "$first-$(( last < {shards} ? last : {shards} ))/{shards}"
"""


def flamenco(batch: Sequence[str], merge: Sequence[str], shards: int, chunk: int) -> str:
    """A job type for the scripts folder of a Flamenco 3 manager."""
    return f"""const JOB_TYPE = {{
    label: "Omomi batch",
    settings: [
        {{ key: "shards", type: "string", required: true, default: "1-{shards}", editable: false }},
        {{ key: "chunk_size", type: "int32", default: {chunk}, description: "Shards that one task takes" }},
    ],
}};

const BATCH = {json.dumps(list(batch))};
const MERGE = {json.dumps(list(merge))};

function compileJob(job) {{
    const merge = task("merge", MERGE);
    for (const chunk of frameChunker(job.settings.shards, job.settings.chunk_size)) {{
        // two in a row come as 1,2 and more of them as 1-3
        const range = chunk.replace(",", "-");
        const part = task("shards-" + range, BATCH.concat(range + "/{shards}"));
        merge.addDependency(part);
        job.addTask(part);
    }}
    job.addTask(merge);
}}

function task(name, words) {{
    const made = author.Task(name, "misc");
    made.addCommand(author.Command("exec", {{ exe: words[0], args: words.slice(1) }}));
    return made;
}}
"""


_Write = Callable[[Sequence[str], Sequence[str], int, int], str]
_KINDS: dict[str, tuple[str, _Write]] = {
    "openjd": (".openjd.json", openjd),
    "slurm": (".sbatch", slurm),
    "flamenco": (".js", flamenco),
}
