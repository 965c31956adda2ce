# The share of the line that each TCP stack uses, against the bit error rate, with 95 % intervals.
#   gnuplot -e "csv='tcp-vs-ber.csv'; svg='tcp-vs-ber.svg'" examples/sweep/plot.gp
set datafile separator ','
set datafile missing NaN
set terminal svg size 720,480 background 'white'
set output svg
set logscale x
set format x '10^{%T}'
set xlabel 'bit error rate'
set ylabel 'share of the line used for data'
set yrange [0:1]
set key bottom left
set grid
# Columns by the names in the header; a rate of zero has no place on the axis.
ber(c) = c > 0 ? c : NaN
plot for [stack in "2000 rfc2488 today bbr"] csv \
  using (strcol('stack') eq stack ? ber(column('down.ber')) : NaN):(column('utilisation mean [1]')):(column('utilisation mean low 95 [1]')):(column('utilisation mean high 95 [1]')) \
  with yerrorlines linewidth 2 title stack
