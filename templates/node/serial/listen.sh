# What else is asked for, and the loop that listens. Follows feed.sh.
# Bytes of an output: A is 1 or 2, from B on, C of them or all the rest; both are multiples of 512.
range() {
    from=out
    [ $a = 1 ] || from=err
    if has dd; then
        dd if=$from bs=512 skip=$((b / 512)) count=$((c / 512)) >part
    elif has head; then
        tail -c +$((b + 1)) $from | head -c $c >part
    else
        tail -c +$((b + 1)) $from >part
    fi
    measure part
    say $r 4 $cur $a $b $n1 $s1 0 1
    encoded part
    say $r 3 $cur 0 0 0 0 0 0
}
stop() {
    x=
    read -r x <pid
    [ -z "$x" ] || kill -TERM $x
}
leave() {
    cd /
    [ -z "$saved" ] || stty "$saved"
    exit 0
}
# Somebody else is at the line when there come things that are not ours, each after a silence.
stranger() {
    case $m in *"$etx"*) case $m in *[!"$etx$cr"]*) ;; *) leave ;; esac ;; esac
    strangers=$((strangers + 1)) quiet=0
    [ $strangers -lt 3 ] || leave
}

# Where the one before us stopped.
cur=0 round= at=0 held= held_at=0 held_size=0 busy=0 broken=0 feed= sink=- passing=- using= holder=0 inline=0 job=0
if [ -s seq ]; then
    read -r cur round job <seq
    cd "$d/$round"
    x=
    read -r x feed sink at passing holder <feed
    if [ "$x" != $cur ] || [ -s ended ]; then feed= at=0 passing=-; fi
    if [ "$feed" = pipe ]; then exec 5<>pipe; fi
    if [ -n "$feed" ] && [ "$passing" != - ]; then busy=1; fi
else
    round=0
    mkdir -p 0
    cd 0
fi
say 0 6 $cur $can $((1 << 40)) 0 0 0 0
quiet=0 strangers=0 idle=0
while :; do
    m=
    if ! read -r m r op seq a b c e f g k data more; then
        if [ -n "$m" ]; then
            stranger
        else
            [ -t 0 ] || leave
            quiet=1 idle=$((idle + 1))
            [ $idle -lt 900 ] || leave
            [ -z "$held" ] || hand_on
        fi
        continue
    fi
    if [ "$m" != "$in" ]; then
        [ $quiet = 0 ] || stranger
        continue
    fi
    x=0
    for n in "$r" "$op" "$seq" "$a" "$b" "$c" "$e" "$f" "$g"; do
        case $n in '' | *[!0-9]* | 0?* | ????????????????????*) continue 2 ;; esac
        x=$(((x * 31 + n) % 2147483629))
    done
    [ "$x" = "$k" ] || continue
    quiet=0 strangers=0 idle=0
    case $op in
    1)
        hand_on
        answer $r $g
        ;;
    2) execute ;;
    3) start_feed ;;
    4) chunk ;;
    5) end ;;
    6) range ;;
    7)
        stop
        answer $r $g
        ;;
    8) if [ $seq = $cur ] && [ -s ended ]; then : >out; : >err; fi ;;
    9)
        stop
        unfeed
        cd /
        # What was stopped writes down how it ended.
        for x in 1 2 3; do
            rm -rf "$d"
            [ -d "$d" ] || break
            sleep 1
        done
        say $r 7 $cur 0 0 0 0 0 0
        leave
        ;;
    esac
done
