#!/bin/sh
# The starter weights, one stage after another; README.md says what each needs.
#
#   run.sh corpus OSM WORK       simulated places over the extracts in OSM
#   run.sh places SITES WORK     real places of a sites file (places.yaml), and the simulated ones
#   run.sh ablation|folds|folds-students|teachers|students WORK
#   run.sh fusion WORK           writes WORK/starter, which `swath map` takes
set -eu
here=$(dirname "$0")
stage=$1
for work in "$@"; do :; done # the last argument
places=$work/places
runs=$work/runs

unet() { # NAME OPTION...
  name=$1
  shift
  python "$here/unet.py" "$name" "$places" "$runs" "$@"
}

ablation() { # NAME SETTING...: learns from six towns, is scored in three others and on other ground
  name=$1
  shift
  unet "$name" --measured --without rennes brasilia milano --no-simulated --set width=16 steps=1500 free=0.6 "$@"
}

fold() { # NUMBER TOWN...: what all other towns teach of these
  number=$1
  shift
  unet "fold$number" --measured --without "$@" --seed "1$number" --looks 1 8 --set steps=2200
}

fold_student() { # NUMBER TOWN...
  number=$1
  shift
  unet "student$number-16" --measured --without "$@" --seed "2$number" --teachers "$runs/fold$number" \
    --set width=16 steps=2600
}

folds() { # of what kind
  "$1" 0 rennes brasilia
  "$1" 1 valencia norcia
  "$1" 2 montpellier milano
  "$1" 3 saclay_w saclay_e # the two overlap
}

case $stage in
  corpus) python "$here/../simulated-corpus.py" "$2" "$work/corpus" ;;
  places)
    python "$here/places.py" real "$2" "$places"
    python "$here/places.py" simulated "$work/corpus" "$places"
    ;;
  ablation)
    ablation x1-30 finer=1 target=30
    ablation x2-10 target=10
    ablation x2-15
    ablation x2-15-d4 free=0
    ablation x2-15-w32 width=32
    ablation x2-class target=class
    ablation x2-soft target=soft
    ablation x4-10 finer=4 target=10
    unet abl-sim --measured --without rennes brasilia milano --set width=16 steps=2000
    ;;
  folds) folds fold ;;
  folds-students) folds fold_student ;;
  teachers)
    unet teacher0 --seed 0 --looks 1 8
    unet teacher1 --seed 1
    ;;
  students)
    unet student16 --teachers "$runs/teacher0" "$runs/teacher1" --set width=16 steps=4400
    unet student32 --teachers "$runs/teacher0" "$runs/teacher1" --set steps=4000
    ;;
  fusion) python "$here/fusion.py" "$runs/student32" "$places" "$work/starter" --network unet-since ;;
  *)
    echo "run.sh: no stage $stage" >&2
    exit 2
    ;;
esac
