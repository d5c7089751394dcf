#!/bin/sh
# Simulates the sixteen places of simulated-places.yaml: real roads, made-up images, three days each.
#
#   sh examples/simulated-places.sh OSM-FOLDER OUT      (about two minutes of one core)
#
# OSM-FOLDER holds the OpenStreetMap files named below, OUT gets a folder a place. The sites files
# expect OUT to be data/simulated-images.
set -eu
osm=$1
out=$2
place() {
    swath simulate "$osm/$2" --bounds="$3" --seed "$4" --dates 3 --split train --out "$out/$1" --overwrite
}
# Towns and their outskirts, roads only: what lies between them is made up.
place liege            roads-only/liege.parquet            5.555,50.624,5.592,50.648           100
place columbus         roads-only/columbus.osm.pbf         -83.018,39.962,-82.987,39.986       101
place porto            roads-only/porto.osm.pbf            -8.6063,41.2176,-8.5752,41.2411     102
place sao_paulo        roads-only/sao-paulo-centre.osm.pbf -46.657,-23.567,-46.631,-23.543     103
place aleppo           roads-only/aleppo.parquet           37.135,36.190,37.164,36.214         104
place bucaramanga      roads-only/bucaramanga.parquet      -73.135,7.093,-73.111,7.117         105
place douala           roads-only/douala.parquet           9.6955,3.9985,9.7189,4.0221         106
place wuhan            roads-only/wuhan.parquet            114.2530,30.5704,114.2807,30.5944   107
place aleppo_outskirts roads-only/aleppo.parquet           37.2545,36.2384,37.2840,36.2622     108
place wuhan_outskirts  roads-only/wuhan.parquet            114.1968,30.6395,114.2246,30.6635   109
# Small towns, villages and country with land use, buildings and water.
place bayreuth         full/north-bayreuth.osm.gz          11.563,50.005,11.600,50.029         110
place campo_grande     full/campo-grande.osm.gz            -54.590,-20.491,-54.564,-20.467     111
place moscow           full/moscow-crop.osm.gz             37.583,55.8053,37.626,55.8243       112
place vaduz            full/liechtenstein.osm.pbf          9.5036,47.1280,9.5381,47.1516       113
place ruggell          full/liechtenstein.osm.pbf          9.5150,47.2200,9.5495,47.2436       114
place andorra          full/andorra.osm.pbf                1.5026,42.4966,1.5348,42.5204       115
