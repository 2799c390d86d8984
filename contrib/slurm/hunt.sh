#!/usr/bin/env bash
# One hunt on many machines of a Slurm cluster: a job array with one task for each shard, and a job behind it that merges.
# `hunt.sh --help` says how it is called; docs/hunting-on-many-machines.md says what it costs.
#
# The script submits itself: on the login node it is `submit`, in a task of the array `shard`, in the last job `merge`.
set -euo pipefail

usage() {
    cat <<'END'
Usage: hunt.sh --shards N [OPTIONS] -- [ARGUMENTS OF `stickler hunt`]

Hunts in N shards, each a task of a job array, and merges them. The same command goes on with what is not done.

  --shards N         how many parts the hunt has
  --out DIR          where everything is kept, on a disk that all nodes share [stickler-hunt]
  --cores N          cores of a task [1]
  --merge-cores N    cores of the job that merges, and shrinks what was found [8]
  --memory SIZE      memory of a job [2G]
  --time LIMIT       time limit of a job, as sbatch takes it; a job that has reached it goes on in another one [1:00:00]
  --at-once N        most tasks that run at a time; without it, as many as the cluster has room for
  --sbatch OPTION    an option for both jobs; may be given more than once: --sbatch --partition=long --sbatch --account=ours
  --stickler FILE    the program, on a disk that all nodes share [the one in PATH]

Example: hunt.sh --shards 16 --out /scratch/hunt -- --runs 1000000 --balancer haproxy-safe

DIR/merged has the result, DIR/logs what the jobs said, DIR/shards a folder for each shard.
END
}

fail() {
    printf 'hunt.sh: %s\n' "$1" >&2
    exit 2
}

# Reads the command line, tries the hunt's arguments, and submits both jobs.
submit() {
    local shards='' out=stickler-hunt cores=1 merge_cores=8 memory=2G time=1:00:00 at_once='' program=stickler sbatch=()
    while (($#)); do
        case $1 in
            --help | -h) usage; exit ;;
            --) shift; break ;;
            --shards | --out | --cores | --merge-cores | --memory | --time | --at-once | --sbatch | --stickler)
                (($# > 1)) || fail "$1 needs a value; see hunt.sh --help"
                case $1 in
                    --shards) shards=$2 ;;
                    --out) out=$2 ;;
                    --cores) cores=$2 ;;
                    --merge-cores) merge_cores=$2 ;;
                    --memory) memory=$2 ;;
                    --time) time=$2 ;;
                    --at-once) at_once=$2 ;;
                    --sbatch) sbatch+=("$2") ;;
                    --stickler) program=$2 ;;
                esac
                shift 2 ;;
            *) fail "there is no option $1; what is for \`stickler hunt\` stands behind --; see hunt.sh --help" ;;
        esac
    done
    [ -n "$shards" ] || fail "--shards is missing; see hunt.sh --help"
    whole --shards "$shards"
    whole --cores "$cores"
    whole --merge-cores "$merge_cores"
    [ -z "$at_once" ] || whole --at-once "$at_once"
    local argument
    for argument in "$@"; do
        case $argument in
            --no-shrink) fail "--no-shrink is not for \`stickler hunt\` here: shards never shrink, and the merge does" ;;
            --shard | --shard=* | --out | --out=* | --jobs | --jobs=* | -j*)
                fail "${argument%%=*} is not for \`stickler hunt\` here: hunt.sh sets it from --shards, --out and --cores" ;;
            --for | --for=*) fail "--for has no shards that can go on: give --runs N, for all shards together" ;;
        esac
    done
    command -v sbatch >/dev/null || fail "there is no sbatch here; run this on a login node of a Slurm cluster"
    program=$(command -v "$program") || fail "there is no program $program; name it by --stickler"
    program=$(realpath -- "$program")
    mkdir -p -- "$out/logs" "$out/shards"
    out=$(realpath -- "$out")
    # Slurm takes %A, %j and others in the names of logs for numbers of its own.
    [[ $out != *%* ]] || fail "--out $out: Slurm replaces what stands behind a % in a path; choose another one"

    still_going_on "$out"
    try_arguments "$program" "$out" "$@"
    enough_units "$out" "$shards"
    array_fits "$shards"

    local open=() shard
    for ((shard = 1; shard <= shards; shard++)); do
        [ -e "$out/shards/$shard-of-$shards.done" ] || open+=("$shard")
    done
    # A requeued job would write over its log without `append`. The signal comes before the time limit, and to the script alone.
    local both=(--parsable --requeue --open-mode=append --mem="$memory" --time="$time" --signal=B:USR1@60)
    local array='' merge after=()
    if ((${#open[@]})); then
        array=$(sbatch "${both[@]}" --job-name=stickler-hunt --output="$out/logs/shard-%a.log" --cpus-per-task="$cores" \
            --array="$(ranges "${open[@]}")${at_once:+%$at_once}" "${sbatch[@]}" \
            "$0" --in-job shard "$program" "$out" "$shards" "$@") || fail "Slurm does not take the job array"
        # With --clusters, the cluster's name follows.
        array=${array%%;*}
        # Not afterok: where one shard of a thousand fails, what the others have found is to be seen, and a job that waits
        # for afterok would wait for ever. The merge says which shards are missing, and fails.
        after=(--dependency="afterany:$array")
    fi
    if ! merge=$(sbatch "${both[@]}" --job-name=stickler-merge --output="$out/logs/merge.log" --cpus-per-task="$merge_cores" \
        "${after[@]}" "${sbatch[@]}" "$0" --in-job merge "$program" "$out" "$shards"); then
        [ -z "$array" ] || scancel "$array" || true
        fail "Slurm does not take the job that merges; the job array is cancelled"
    fi
    merge=${merge%%;*}
    printf '%s\n' $array "$merge" >"$out/jobs"
    [ -z "$array" ] || echo "job $array: ${#open[@]} of $shards shards"
    echo "job $merge: the merge; then $out/merged has the result, and $out/logs/merge.log says what was found"
}

# A number from 1.
whole() { [[ $2 =~ ^[1-9][0-9]{0,5}$ ]] || fail "$1 $2: a number from 1 to 999999 is needed"; }

# Two jobs in one folder would refuse each other.
still_going_on() {
    local jobs
    [ -e "$1/jobs" ] || return 0
    # Where Slurm has forgotten the jobs, squeue fails.
    jobs=$(squeue --noheader --format=%A --jobs="$(paste -sd, "$1/jobs")" 2>/dev/null | sort -u | paste -sd' ') || return 0
    [ -z "$jobs" ] || fail "jobs $jobs are still at work in $1: wait for them, or end them by scancel $jobs"
}

# Tries the arguments here, once, in place of in every task: this part of the hunt has no runs. Its folder remembers which
# hunt this is, so that another one is refused.
try_arguments() {
    local program=$1 out=$2 said code=0
    shift 2
    said=$("$program" hunt "$@" --no-shrink --jobs 1 --shard 1/1000000 --out "$out/shards/none" 2>&1 >/dev/null) || code=$?
    ((code <= 1)) && return
    printf '%s\n' "$said" >&2
    fail "\`stickler hunt\` does not take these arguments; nothing was submitted"
}

# A unit of a hunt cannot be split, so that too many shards would have nothing to do.
enough_units() {
    local head=$1/shards/none/hunt.json runs unit units
    runs=$(sed -n 's/^  "runs": \([0-9]*\),\?$/\1/p' "$head")
    unit=$(sed -n 's/^  "unit": \([0-9]*\),\?$/\1/p' "$head")
    [[ -n $runs && -n $unit ]] || return 0
    units=$(((runs + unit - 1) / unit))
    (($2 <= units)) || fail "--shards $2: this hunt has $units units of $unit runs, and none can be split: choose at most $units"
}

# MaxArraySize is one more than the highest number of a task.
array_fits() {
    local most
    most=$(scontrol show config 2>/dev/null | sed -n 's/^MaxArraySize *= *\([0-9]*\).*/\1/p') || return 0
    [[ -z $most ]] || (($1 < most)) \
        || fail "--shards $1: this cluster takes arrays of at most $((most - 1)) tasks: choose fewer shards with more --cores"
}

# Numbers in the notation of --array: 1-4,7.
ranges() {
    local first=$1 last=$1 text='' number
    shift
    for number in "$@" end; do
        if [[ $number == "$((last + 1))" ]]; then last=$number; continue; fi
        if ((first == last)); then text+=,$first; else text+=,$first-$last; fi
        first=$number last=$number
    done
    echo "${text#,}"
}

# Runs a command until it ends. Slurm tells this script of the time limit by SIGUSR1: the command hears of it by SIGTERM, ends
# and keeps what it has. A SIGTERM (scancel, scontrol requeue, preemption) Slurm sends to all processes of the job: passing
# it on would be a second one, at which the command ends at once. Sets `code` and `told`.
run_until_told() {
    local child heard
    told='' code=0
    trap 'told+=" time"; kill -TERM "$child" 2>/dev/null || true' USR1
    trap 'told+=" end"' TERM
    "$@" &
    child=$!
    while true; do
        heard=$told code=0
        wait "$child" || code=$?
        # A signal interrupts `wait`, and says nothing of the command.
        [ "$told" = "$heard" ] || continue
        break
    done
}

# Ends a job whose command was told to end, or has failed. `what` is "shard 3 of 16".
end_if_not_done() {
    local what=$1 progress=$2
    case $told in
        *end*) echo "$what: ended from outside, after it has kept what it had"; exit 143 ;;
        *time*)
            # 4: nothing was found, and runs are missing.
            ((code <= 1 || code == 4)) || { echo "$what: \`stickler\` has failed with code $code at the time limit"; exit "$code"; }
            [ "$progress" = yes ] || { echo "$what: nothing was done within the time limit; choose a longer --time"; exit 1; }
            echo "$what: the time limit is reached, the job is queued again"
            scontrol requeue "$SLURM_JOB_ID"
            exit 0 ;;
    esac
    case $code in
        0 | 1) ;; # 1: there are findings.
        2) echo "$what: the arguments or the folder are wrong (above); mend that, and call hunt.sh again"; exit 2 ;;
        *) echo "$what: \`stickler\` has failed with code $code; call hunt.sh again, and it goes on where it was"; exit "$code" ;;
    esac
}

# A task of the array.
#
# SLURM_ARRAY_TASK_COUNT would be wrong where the array has only the shards that are not done.
shard() {
    local program=$1 out=$2 shards=$3 number=$SLURM_ARRAY_TASK_ID before progress=no
    shift 3
    local folder=$out/shards/$number-of-$shards what="shard $number of $shards"
    echo "$what: begins on $(hostname), $(date), ${SLURM_RESTART_COUNT:-0} times queued again"
    before=$(cksum 2>/dev/null <"$folder/state.json" || true)
    # What several shards find is shrunk once, by the merge.
    run_until_told "$program" hunt "$@" --no-shrink --jobs "${SLURM_CPUS_PER_TASK:-1}" --shard "$number/$shards" --out "$folder"
    [ "$before" = "$(cksum 2>/dev/null <"$folder/state.json" || true)" ] || progress=yes
    end_if_not_done "$what" "$progress"
    : >"$folder.done"
    echo "$what: done"
}

# The job behind the array.
merge() {
    local program=$1 out=$2 shards=$3 folders=() missing=() shard folder before progress=no
    for folder in "$out"/shards/*/; do [ ! -e "$folder/hunt.json" ] || folders+=("${folder%/}"); done
    for ((shard = 1; shard <= shards; shard++)); do
        [ -e "$out/shards/$shard-of-$shards.done" ] || missing+=("$shard")
    done
    before=$(shrunk "$out/merged")
    run_until_told "$program" merge "${folders[@]}" --jobs "${SLURM_CPUS_PER_TASK:-1}" --out "$out/merged"
    [ "$before" = "$(shrunk "$out/merged")" ] || progress=yes
    # Nothing was found, and shards are missing, which is told below.
    ((code != 4 || ${#missing[@]} == 0)) || [ -n "$told" ] || code=0
    end_if_not_done merge "$progress"
    if ((${#missing[@]} == 0)); then echo "merge: done"; return; fi
    echo "merge: shards $(ranges "${missing[@]}") are not done ($out/logs/shard-N.log says why), and what they have is there;" \
        "call hunt.sh again, and it goes on with them alone"
    exit 1
}

# How many findings are shrunk.
shrunk() { [ ! -d "$1" ] || find "$1" -name short.jsonl | wc -l; }

if [ "${1:-}" = --in-job ]; then
    "${@:2}"
else
    submit "$@"
fi
