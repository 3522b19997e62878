# Taking in what comes in chunks. Follows far.sh.
# A command whose standard input comes in chunks, or a file, "script" or "stdin", for the command that comes next.
# The pipe is held open by a process of its own, so that a command waits for us when we have to be started again.
start_feed() {
    if [ $seq -le $cur ]; then
        answer $r 0
        return
    fi
    fresh
    if [ $f != 0 ]; then
        begin
        feed=file sink=script
        [ $f = 1 ] || sink=stdin
        : >$sink
        note
        state $r 0
        return
    fi
    [ "$data" = - ] || printf "$data" >script
    measure script
    if [ "$n1 $s1" != "$b $c" ]; then
        state $r 3
        return
    fi
    begin
    feed=pipe sink=pipe inline=0
    [ -p pipe ] || mkfifo pipe
    exec 5<>pipe
    (
        trap '' HUP
        exec sleep $((a + 60))
    ) <&5 >&5 &
    holder=$!
    : >opened
    (
        trap : HUP
        exec <pipe
        exec 5>&-
        echo 1 >opened
        file=$d/$round/script
        case $g in
        0) bounded $a sh "$file" ;;
        1) bounded $a sh -c 'gzip -dc | sh "$0"' "$file" ;;
        2) bounded $a sh -c 'zstd -dcq | sh "$0"' "$file" ;;
        3) bounded $a sh -c "tr '\\000-\\377' '\\200-\\377\\000-\\177' | sh \"\$0\"" "$file" ;;
        esac
        finish
    ) &
    job=$!
    echo "$cur $round $job" >"$d/seq"
    note
    state $r 0
}
note() { echo "$cur $feed $sink $at $passing $holder" >feed; }
unfeed() {
    if [ "$feed" = pipe ]; then
        exec 5>&-
        kill $holder
    fi
    feed= busy=0
}
# pass FILE SIZE: what comes next in the stream goes to the command, which may take its time.
pass() {
    passing=$at busy=1 using=$1
    if [ $feed = file ]; then
        cat $1 >>$sink
        echo "$passing $?" >passed
    else
        (
            trap '' HUP
            cat $1 >&5
            echo "$passing $?" >passed
        ) &
    fi
    at=$((at + $2))
    note
}
# Looks whether the command has taken what it was given, and goes on with what was kept for it.
hand_on() {
    if [ $busy = 1 ]; then
        x= y=
        read -r x y <passed
        if [ "$x" = "$passing" ] && [ -n "$y" ]; then
            busy=0 using=
            [ "$y" = 0 ] || broken=1
        fi
    fi
    if [ -n "$held" ] && [ $held_at -le $at ]; then
        if [ $held_at = $at ]; then
            [ $busy$broken = 00 ] || return 0
            pass $held $held_size
        fi
        held= held_at=0 held_size=0
    fi
}
# B bytes of the stream from A on, with sum C, in encoding E of F bytes (or lines). What comes out of order is kept, one
# chunk of it, until the gap is filled. Sequence number 0: a trial of the encoding.
chunk() {
    into=c0
    for x in c1 c2; do case $into in "$held" | "$using") into=$x ;; esac; done
    case $e in
    0) taken $f >$into ;;
    1) taken $f | base64 -d >$into ;;
    2)
        IFS=$lines
        for x in $(taken $f); do printf "$x"; done >$into
        IFS=' '
        ;;
    3)
        : >$into
        n=0
        while [ $n -lt $f ] && IFS= read -r line; do
            printf "$line" >>$into
            n=$((n + 1))
        done
        ;;
    esac
    measure $into
    if [ "$n1 $s1" != "$b $c" ]; then
        state $r 2
        return
    fi
    if [ $seq = $cur ] && [ -n "$feed" ]; then
        hand_on
        if [ $a = $at ] && [ $busy$broken = 00 ]; then
            pass $into $b
        elif [ $a -ge $at ] && { [ -z "$held" ] || [ $a -lt $held_at ]; }; then
            held=$into held_at=$a held_size=$b
        fi
        hand_on
    fi
    state $r 1
}
taken() {
    case $take in
    whole) dd bs=$1 count=1 iflag=fullblock ;;
    head) head -c $1 ;;
    single) dd bs=1 count=$1 ;;
    esac
}
# The end of the stream, which has A bytes.
end() {
    hand_on
    if [ $seq = $cur ] && [ -n "$feed" ] && [ $at = $a ] && [ $busy = 0 ]; then
        if [ $feed = file ]; then
            unfeed
            : >out
            : >err
            echo "$cur $broken" >ended
            : >feed
        elif [ -s opened ]; then
            unfeed
            : >feed
        fi
    fi
    answer $r $g
}
