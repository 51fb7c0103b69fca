/*
 * Index segments: writers add one for each pack, collectors merge several into one that leaves out the packs that are gone, and then
 * remove those they merged. Held: every pack that is needed stands in a segment that is there. README.md says what the names mean.
 *
 * Two collectors merge, either may sleep between any two steps. A segment is a set of packs and a number that no other segment
 * has (the salt in its header). With BROKEN_NAMED_BY_CONTENT the number is always 0, so equal sets are the same file.
 */

#define PACKS 2
#define BIT(i) (1 << (i))
#define NEEDED 1 /* the pack that stays; the other may go */
#define SLOTS 6

byte packs = 7;
byte there = 3;                 /* slots of index/ whose segment is there */
byte lists[SLOTS];              /* the packs that a segment lists */
byte next = 2;
byte merges = 4;                /* how many more there may be */

inline check() {
    i = 0; covered = 0;
    do :: i < SLOTS -> if :: there & BIT(i) -> covered = covered | lists[i] :: else fi; i++ :: else -> break od;
    assert(covered & NEEDED);
    i = 0; covered = 0
}

proctype collector() {
    byte i, covered, old, merged, made;
end:
    do
    :: atomic { /* list index/ and choose what to merge: any of it */
            merges > 0 && next < SLOTS ->
            merges--;
            i = 0;
            do
            :: i < SLOTS && (there & BIT(i)) -> old = old | BIT(i); merged = merged | lists[i]; i++
            :: i < SLOTS -> i++
            :: i == SLOTS -> break
            od;
            i = 0;
            merged = merged & packs /* without the packs that are gone */
        }
        atomic { /* put the merged segment */
            made = next;
#ifdef BROKEN_NAMED_BY_CONTENT
            made = 0;
            do :: made < next && lists[made] != merged -> made++ :: else -> break od;
#endif
            if
            :: merged == 0 || (made == next && next == SLOTS) -> old = 0
            :: else ->
                lists[made] = merged;
                there = there | BIT(made);
                if :: made == next -> next++ :: else fi;
                old = old & ~BIT(made) /* what was written just now is never removed */
            fi;
            merged = 0;
            made = 0
        }
        do /* remove what was merged */
        :: atomic {
                old != 0 ->
                i = 0;
                do :: !(old & BIT(i)) -> i++ :: else -> break od;
                old = old & ~BIT(i);
                there = there & ~BIT(i);
                check()
            }
        :: atomic { old == 0 -> break }
        od
    od
}

/* Packs go, by the verdicts of generations in which neither collector need take part any more. */
proctype verdicts() {
end:
    do
    :: atomic { packs & 2 -> packs = packs & ~2 }
    od
}

init {
    atomic {
        lists[0] = 1; lists[1] = 2;
        run collector();
        run collector();
        run verdicts()
    }
}
