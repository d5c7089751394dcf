#!/bin/sh
# Makes two days of each of the eighteen towns of realism-real.yaml, none of which had a part in the fit
# that its days are made by: two halves, each fitted on the other. Towns that touch are in one half.
#
#   sh examples/lab/realism-days.sh && swath lab realism examples/lab/realism-days.yaml examples/lab/realism-real.yaml
#
# Run it in the project's folder; images go to data/days.
set -eu
real=examples/lab/realism-real.yaml
one="aguasclaras brasilia bercy paris cupertino hongkong milano rennes rio"
other="beirut dubai lasvegas montpellier norcia pisa saclay_e saclay_w valencia"
mkdir -p data/days
days() {
    half=$1
    towns=$2
    out=""
    site=""
    for town in $towns; do
        out="$out --leave-out $town"
        site="$site --site $town"
    done
    swath lab days fit $real --out data/days/fit-"$half".json $out
    swath lab days make $real --fit data/days/fit-"$half".json --out data/days/half-"$half" --days 2 \
        $site --overwrite
    for town in $towns; do
        rm -rf "data/days/$town"
        mv "data/days/half-$half/$town" "data/days/$town"
    done
}
days one "$one"
days other "$other"
