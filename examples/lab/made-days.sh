#!/bin/sh
# Two made days for each of the eight towns of cities-registered.yaml, by changes fitted on the ten other
# towns of realism-real.yaml, and a dataset of real and made days together: data/cities-days.
#
#   sh examples/lab/made-days.sh && swath lab compare examples/lab/compare-days.yaml --out compare-days
#
# Run it in the project's folder. Made days get dates of 2030, so that `until` of the comparison keeps
# them out of what is mapped and scored: they train only.
set -eu
towns="rennes valencia montpellier norcia bercy paris saclay_w brasilia"
out=""
for town in $towns; do
    out="$out --leave-out $town"
done
swath lab days fit examples/lab/realism-real.yaml --out data/days-fit.json $out
swath lab days make examples/cities-registered.yaml --fit data/days-fit.json --days 2 \
    --out data/made-days --overwrite
for town in $towns; do
    day=1
    for image in data/made-days/"$town"/*.tif; do
        mv "$image" data/made-days/"$town"/2030-01-0$day.tif
        day=$((day + 1))
    done
done
swath build data/made-days/sites.yaml --out data/cities-days
