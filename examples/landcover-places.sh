#!/bin/sh
# Simulates the fifteen places of landcover.yaml: real layouts with land use, made-up images, three days each.
#
#   sh examples/landcover-places.sh OSM-FOLDER OUT      (about two minutes of one core)
#
# OSM-FOLDER holds the OpenStreetMap files named below, OUT gets a folder a place. The sites file
# expects OUT to be data/landcover-images.
set -eu
osm=$1
out=$2
place() {
    swath simulate "$osm/$2" --bounds="$3" --seed "$4" --dates 3 --split train --out "$out/$1" --overwrite
}
place schaan         liechtenstein.osm.pbf  9.4950,47.1560,9.5295,47.1796    200
place ruggell        liechtenstein.osm.pbf  9.5150,47.2200,9.5495,47.2436    201
place eschen         liechtenstein.osm.pbf  9.5150,47.1950,9.5495,47.2186    202
place triesen        liechtenstein.osm.pbf  9.5100,47.0950,9.5445,47.1186    203
place bayreuth_west  north-bayreuth.osm.gz  11.490,49.975,11.527,49.999      204
place bayreuth_mid   north-bayreuth.osm.gz  11.524,50.015,11.561,50.039      205
place andorra        andorra.osm.pbf        1.5026,42.4966,1.5348,42.5204    206
place encamp         andorra.osm.pbf        1.5700,42.5250,1.6020,42.5490    207
place moscow         moscow-crop.osm.gz     37.583,55.8053,37.626,55.8243    208
place vaduz          liechtenstein.osm.pbf  9.5036,47.1280,9.5381,47.1516    209
place bayreuth_south north-bayreuth.osm.gz  11.530,49.975,11.567,49.999      210
place balzers        liechtenstein.osm.pbf  9.4850,47.0560,9.5195,47.0796    211
place bayreuth       north-bayreuth.osm.gz  11.563,50.005,11.600,50.029      212
place la_massana     andorra.osm.pbf        1.5050,42.5350,1.5370,42.5590    213
place campo_grande   campo-grande.osm.gz    -54.590,-20.491,-54.564,-20.467  214
