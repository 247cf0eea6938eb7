# Cuts a recording to what the fake driver replays, as rows of C.
#   awk -f answers.awk fake.h driver-580.tsv
BEGIN { FS = "\t" }
FILENAME ~ /fake\.h$/ {
    line = $0
    while (match(line, /"[^"]+\.(fatbin|cubin|ptx)"/)) {
        wanted[substr(line, RSTART + 1, RLENGTH - 2)] = 1
        line = substr(line, RSTART + RLENGTH)
    }
    next
}
{
    split($1, part, "/")
    if (part[1] == "image" || (part[2] != "-" && !(part[2] in wanted)))
        next
    if (part[1] == "errors")
        $4 = $2 " " $4
    gsub(/\\/, "\\\\", $4)
    gsub(/"/, "\\\"", $4)
    printf "{\"%s\", %d, \"%s\"},\n", $1, $3, $4
}
