/*
 * Sharing and collection of one repository, as a model for spin. What is modelled, what is not, and how to read the names is in
 * README.md beside this file; tools/run-model says with which bounds it is checked.
 *
 * Every access to the repository is one atomic step; between two steps anybody may do anything, or nothing for ever. So a process
 * that is never scheduled again has crashed, and one that is scheduled much later has slept: neither needs a step of its own.
 * Sets (of packs, of chunks, of snapshots, of generations) are bit masks.
 *
 * Macros that choose a configuration: WRITERS, COLLECTORS, READERS, GENERATIONS, PACKS, LOOKUPS (chunks that a writer stores),
 * STALE (a directory listing may be older than the directory), COMPACT, CRASHES (of collectors that come back), ENDING (garbage goes in
 * the end), and BROKEN_… (a mistake that must be found).
 */

#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef COLLECTORS
#define COLLECTORS 1
#endif
#ifndef READERS
#define READERS 0
#endif
#ifndef GENERATIONS
#define GENERATIONS 2
#endif
#ifndef PACKS
#define PACKS 5
#endif
#ifndef LOOKUPS
#define LOOKUPS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif

#define SNAPSHOTS (WRITERS + 1) /* 0: one from before; w + 1: the name that writer w reserves */
#define SESSIONS (WRITERS + READERS)
#define A 1 /* a chunk of the old snapshot */
#define B 2 /* a chunk that no snapshot refers to any more */
#define BIT(i) (1 << (i))
#define ALL_PACKS ((1 << PACKS) - 1)

/* The repository. */
byte packs = 3;             /* packs/ */
byte holds[PACKS];          /* the chunks in a pack; constant once it is written */
byte nextPack = 2;
byte committed = 1;         /* snapshots that are there */
byte tombstones;
byte refs[SNAPSHOTS];       /* the chunks that a snapshot refers to; constant once it is committed */
byte sessions;              /* sessions/ of writers and readers */
byte roots[SESSIONS];       /* the chunks below the roots in a session's file */
byte condemned;             /* generations whose condemned/<g> is there, and so on */
byte verdicts;
byte dones;
byte condemnedPacks[GENERATIONS + 1];
byte verdictPacks[GENERATIONS + 1];
byte claims[GENERATIONS + 1];       /* bit w: what writer w claimed on seeing g; bit w + WRITERS: its claim of a base */
byte claimKeeps[(GENERATIONS + 1) * WRITERS];
byte claimRoots[(GENERATIONS + 1) * WRITERS * 2];
#define CLAIM(g, slot) ((g) * WRITERS * 2 + (slot))
#define KEEPS(g, w) ((g) * WRITERS + (w))

/* What a writer's two threads (the backup, the heartbeat) share under its lock. */
byte excluded[WRITERS];     /* packs that count as absent */
byte used[WRITERS];         /* packs that the session has referred to or written */
byte baseRoots[WRITERS];
byte known[WRITERS];        /* generations that it has taken into account */
bool opened[WRITERS];
bool closed[WRITERS];

/* Only for the assertions. */
byte decided[GENERATIONS + 1];      /* the first verdict on a generation that was pending */
byte fenced;
byte reading[SESSIONS];
byte ended;                         /* writers and readers that do nothing any more */
bool quiet;                         /* nobody removes snapshots any more (ENDING) */
byte dead;                          /* writers that crashed (ENDING) */
byte crashes = CRASHES;
#ifdef ENDING
bool finished;
#endif
#ifdef FAIR
ltl garbage_goes { <> finished }
#endif

/*
 * A stale listing: each entry is shown as it is or as it was when the copy of its directory was last renewed. STALE says whose
 * listings may be stale: 1 packs/, 2 snapshots/, 4 sessions/, 8 condemned/, in sum. A grace period is over when all those
 * copies have been renewed since it began.
 */
#ifndef STALE
#define STALE 0
#endif
#if STALE
byte oldPacks = 3, oldCommitted = 1, oldSessions, oldCondemned, oldVerdicts, oldDones;
byte oldClaims[GENERATIONS + 1];
byte waiting[COLLECTORS];           /* the directories whose copy a collector still waits for */
#define WAITED(d) ((waiting[0] | waiting[COLLECTORS - 1]) & (d)) /* one or two collectors */

inline see(now, old, view) {
    view = now;
    differ = now ^ old;
    entry = 1;
    do
    :: differ == 0 -> break
    :: else ->
        if
        :: (differ & entry) -> differ = differ ^ entry; if :: view = view ^ entry :: skip fi
        :: else
        fi;
        entry = entry << 1
    od;
    entry = 0
}
#endif
#if STALE & 1
#define SEE_PACKS(view) see(packs, oldPacks, view)
#else
#define SEE_PACKS(view) view = packs
#endif
#if STALE & 2
#define SEE_SNAPSHOTS(view) see(committed, oldCommitted, view)
#else
#define SEE_SNAPSHOTS(view) view = committed
#endif
#if STALE & 4
#define SEE_SESSIONS(view) see(sessions, oldSessions, view)
#else
#define SEE_SESSIONS(view) view = sessions
#endif
#if STALE & 8
#define SEE_CONDEMNED(now, old, view) see(now, old, view)
#else
#define SEE_CONDEMNED(now, old, view) view = now
#endif
#if STALE && !defined(BROKEN_GRACE)
#define GRACE waiting[c] = STALE; (waiting[c] == 0);
#else
#define GRACE
#endif

#define IN_REPOSITORY(chunks) (((chunks) & ~present) == 0)

/* Every chunk of every committed snapshot, and of what a reader reads, is in a pack that exists. */
inline check() {
    present = 0;
    i = 0;
    do :: i < PACKS -> if :: packs & BIT(i) -> present = present | holds[i] :: else fi; i++ :: else -> break od;
    i = 0;
    do
    :: i < SNAPSHOTS -> assert(!(committed & BIT(i)) || IN_REPOSITORY(refs[i])); i++
    :: else -> break
    od;
    i = 0;
    do :: i < SESSIONS -> assert(!(sessions & BIT(i)) || IN_REPOSITORY(reading[i])); i++ :: else -> break od;
    i = 0;
    present = 0
}

inline newPack(contents) {
    assert(nextPack < PACKS);
    holds[nextPack] = contents;
    packs = packs | BIT(nextPack);
    nextPack++
}

/* The generation that is pending in a view of condemned/: the highest, if it is condemned and not done. 0: none. */
inline highest(c0, v0, d0, h) {
    h = GENERATIONS;
    do :: h > 0 && !((c0 | v0 | d0) & BIT(h)) -> h-- :: else -> break od
}
#ifdef BROKEN_PENDING
/* any generation that is condemned and not done, the lowest first */
inline pending(c0, v0, d0, h) {
    h = 1;
    do :: h <= GENERATIONS && !(c0 & ~d0 & BIT(h)) -> h++ :: else -> break od;
    if :: h > GENERATIONS -> h = 0 :: else fi
}
#else
inline pending(c0, v0, d0, h) {
    highest(c0, v0, d0, h);
    if :: h > 0 && (c0 & ~d0 & BIT(h)) -> skip :: else -> h = 0 fi
}
#endif

/* ------------------------------------------------------------------------------------------------------------ writer */

#ifdef ENDING
#define MAY_CRASH if :: goto crashed :: skip fi
#else
#define MAY_CRASH skip
#endif

inline listCondemned() {
    SEE_CONDEMNED(condemned, oldCondemned, seenC);
    SEE_CONDEMNED(verdicts, oldVerdicts, seenV);
    SEE_CONDEMNED(dones, oldDones, seenD);
    pending(seenC, seenV, seenD, g);
    seenC = 0; seenV = 0; seenD = 0;
    if
    :: g > 0 && (condemned & BIT(g)) -> excluded[w] = excluded[w] | condemnedPacks[g]; known[w] = known[w] | BIT(g)
    :: else -> g = 0
    fi
}

inline chooseBase() { /* under the lock: the roots, and for which generations they must be claimed */
    baseRoots[w] = refs[n];
    todo = known[w]
}

inline lookAtBase() {
    SEE_SNAPSHOTS(view);
    hasBase = (view & BIT(n)) != 0;
    view = 0
}

proctype writer(byte w) {
    byte g, n, p, x, todo, view, index, need, left = LOOKUPS;
    byte seenC, seenV, seenD, entry, differ, i, present;
    bool hasBase;

#ifdef BROKEN_LIST_FIRST
    atomic { listCondemned() }
    atomic { sessions = sessions | BIT(w) }
#elif defined(BROKEN_INDEX_FIRST)
    atomic { SEE_PACKS(index) }
    atomic { sessions = sessions | BIT(w) }
    atomic { listCondemned() }
#else
    atomic { sessions = sessions | BIT(w) }
    atomic { MAY_CRASH; listCondemned() }
#endif
    atomic {
        if :: g > 0 -> claims[g] = claims[g] | BIT(w) :: else fi;
        g = 0
    }
#ifndef BROKEN_INDEX_FIRST
    atomic { SEE_PACKS(index) }
#endif
    atomic { opened[w] = true; MAY_CRASH }

    atomic { /* an incremental backup, or a full one */
        if
#ifndef ONLY_FULL
        :: n = 0; do :: n < WRITERS -> n++ :: break od; if :: n != w + 1 && (committed & BIT(n)) -> skip :: else -> n = 0; goto data fi
#endif
#ifndef ONLY_INCREMENTAL
        :: goto data
#endif
        fi
    }
#ifdef BROKEN_LOOK_FIRST
    atomic { lookAtBase() }
#endif
    atomic { chooseBase() }
    atomic { if :: sessions & BIT(w) -> roots[w] = baseRoots[w] :: else -> goto over fi }
    do
    :: atomic {
            todo != 0 ->
            g = 1;
            do :: !(todo & BIT(g)) -> g++ :: else -> break od;
            todo = todo & ~BIT(g);
            claims[g] = claims[g] | BIT(w + WRITERS);
            claimRoots[CLAIM(g, w + WRITERS)] = baseRoots[w];
            g = 0
        }
    :: atomic { todo == 0 -> break }
    od;
#ifndef BROKEN_LOOK_FIRST
    atomic { lookAtBase() }
#endif
    atomic {
        if :: hasBase -> need = refs[n]; hasBase = false :: else fi;
        n = 0
    }

data:
    do
    :: atomic { /* the lookup of a chunk and the note that it is used are one step under the lock */
            left > 0 ->
            left--;
            if :: x = A :: x = B fi;
            p = 0;
            do
            :: p < PACKS && !((index & ~excluded[w] & BIT(p)) && (holds[p] & x)) -> p++
            :: p < PACKS && (index & ~excluded[w] & BIT(p)) && (holds[p] & x) -> break
            :: p < PACKS && (index & ~excluded[w] & BIT(p)) && (holds[p] & x) -> p++ /* perhaps another place */
            :: p == PACKS -> break
            od;
            if
            :: p < PACKS -> used[w] = used[w] | BIT(p); need = need | x
            :: p == PACKS && nextPack < PACKS ->
                index = index | BIT(nextPack);
                used[w] = used[w] | BIT(nextPack);
                newPack(x);
                need = need | x
            :: p == PACKS && nextPack == PACKS -> skip /* out of room: this chunk is not backed up */
            fi;
            p = 0;
            x = 0
        }
    :: break
    :: goto over /* abort */
    od;
    atomic { /* commit: putIfAbsent */
        MAY_CRASH;
        if
        :: (committed | tombstones) & BIT(w + 1) -> skip
        :: else ->
            refs[w + 1] = need;
            committed = committed | BIT(w + 1);
            assert(!(fenced & BIT(w)));
            check()
        fi;
        left = 0; need = 0; index = 0; n = 0; todo = 0
    }
    atomic {
        MAY_CRASH;
over:
        sessions = sessions & ~BIT(w);
        roots[w] = 0;
        goto gone
    }
crashed:
    dead = dead | BIT(w);
gone:
    atomic {
        closed[w] = true;
        ended++;
        g = 0; left = 0; need = 0; index = 0; n = 0; todo = 0; hasBase = false;
        excluded[w] = 0; used[w] = 0; known[w] = 0; baseRoots[w] = 0
    }
}

/* A generation that the writer has not seen before: exclude, keep, claim. */
proctype heartbeat(byte w) {
    byte g, keeps, taken;

end:
    do
    :: atomic {
            opened[w] && !closed[w] && (condemned & ~dones & ~known[w]) ->
            pending(condemned, verdicts, dones, g);
            if :: g > 0 && !(known[w] & BIT(g)) -> skip :: else -> g = 0; goto end fi;
            excluded[w] = excluded[w] | condemnedPacks[g];
            keeps = condemnedPacks[g] & used[w];
            taken = baseRoots[w];
#ifdef BROKEN_HEARTBEAT_LOCK
        }
        atomic {
#endif
            known[w] = known[w] | BIT(g)
        }
        atomic {
            claims[g] = claims[g] | BIT(w);
            claimKeeps[KEEPS(g, w)] = keeps;
            claimRoots[CLAIM(g, w)] = taken;
            g = 0; keeps = 0; taken = 0
        }
    :: closed[w] -> break
    od
}

/* ------------------------------------------------------------------------------------------------------------ reader */

proctype reader(byte s) {
    byte n, view, entry, differ;

    atomic {
        do :: n < WRITERS -> n++ :: break od;
        if :: committed & BIT(n) -> skip :: else -> goto over fi
    }
#ifdef BROKEN_READER_LOOK_FIRST
    atomic { SEE_SNAPSHOTS(view) }
    atomic { sessions = sessions | BIT(s); roots[s] = refs[n] }
#else
    atomic { sessions = sessions | BIT(s); roots[s] = refs[n] }
    atomic { SEE_SNAPSHOTS(view) }
#endif
    atomic { if :: view & BIT(n) -> reading[s] = refs[n] :: else fi; view = 0 }
    atomic { reading[s] = 0; sessions = sessions & ~BIT(s); roots[s] = 0 }
over:
    atomic { n = 0; ended++ }
}

/* Retention and the administrator: any snapshot may go at any time, or stay. */
proctype pruner() {
end:
    do
    :: atomic { !quiet && (committed & BIT(0)) -> committed = committed & ~BIT(0) }
    :: atomic { !quiet && (committed & BIT(1)) -> committed = committed & ~BIT(1) }
    :: atomic { !quiet && (committed & BIT(2)) -> committed = committed & ~BIT(2) }
    od
}

/*
 * Ends the sessions of the dead, in two steps: a tombstone under the reserved name, then the session file goes. It is a process of
 * its own because it needs no generation: any node may do it at any time. That a session is not dead but only slow is no
 * reason for it to be safe from this, so any session may be fenced, except where it is to be shown that nobody must be.
 */
#ifdef BROKEN_FENCE_IN_STEP_4
#define FENCEABLE(w) ((sessions & dead & BIT(w)) && (condemned & ~dones & ~verdicts))
#elif defined(ENDING)
#define FENCEABLE(w) (sessions & dead & BIT(w))
#else
#define FENCEABLE(w) (sessions & BIT(w))
#endif
#ifndef NO_FENCE
proctype fencer(byte w) {
end:
    do
    :: atomic {
            FENCEABLE(w) ->
#ifndef BROKEN_NO_TOMBSTONE
            if
            :: (committed | tombstones) & BIT(w + 1) -> skip
            :: else -> tombstones = tombstones | BIT(w + 1)
            fi;
#endif
            if :: committed & BIT(w + 1) -> skip :: else -> fenced = fenced | BIT(w) fi
        }
        atomic { sessions = sessions & ~BIT(w); roots[w] = 0 }
    od
}
#endif

/* --------------------------------------------------------------------------------------------------------- collector */

/* What a listing of snapshots or sessions adds to the live chunks. */
inline addSnapshots() {
    SEE_SNAPSHOTS(view);
    i = 0;
    do :: i < SNAPSHOTS -> if :: view & BIT(i) -> live = live | refs[i] :: else fi; i++ :: else -> break od;
    i = 0; view = 0
}
inline addSessions() {
    SEE_SESSIONS(view);
    i = 0;
    do
    :: i < SESSIONS ->
        if :: view & BIT(i) & sessions -> live = live | roots[i] :: else fi; i++
    :: else -> break
    od;
    i = 0; view = 0
}
inline addClaims() {
    SEE_CONDEMNED(claims[g], oldClaims[g], view);
    i = 0;
    do
    :: i < WRITERS ->
        if :: view & BIT(i) -> kept = kept | claimKeeps[KEEPS(g, i)]; live = live | claimRoots[CLAIM(g, i)] :: else fi;
        if :: view & BIT(i + WRITERS) -> live = live | claimRoots[CLAIM(g, i + WRITERS)] :: else fi;
        i++
    :: else -> break
    od;
    i = 0; view = 0
}

/* Takes pack p back from `plan` if one of its live chunks would have no place left in a pack that is there and stays. */
inline takeBack() {
    present = 0;
    i = 0;
    do
    :: i < PACKS ->
#ifdef BROKEN_ONLY_PLACE
        if :: (there & BIT(i)) && i != p -> present = present | holds[i] :: else fi;
#else
        if :: there & ~plan & BIT(i) -> present = present | holds[i] :: else fi;
#endif
        i++
    :: else -> break
    od;
    if :: !IN_REPOSITORY(holds[p] & live) -> plan = plan & ~BIT(p) :: else fi;
    i = 0; present = 0
}

/* Is g over? A listing that shows a name of a higher generation or <g>.done says so. */
inline lookWhetherOver() {
    SEE_CONDEMNED(condemned, oldCondemned, seenC);
    SEE_CONDEMNED(verdicts, oldVerdicts, seenV);
    SEE_CONDEMNED(dones, oldDones, seenD);
    over = (seenD & BIT(g)) || !(seenC & BIT(g)) || ((seenC | seenV | seenD) >> (g + 1));
    seenC = 0; seenV = 0; seenD = 0
}

inline removeClaims() {
    claims[g] = 0;
    i = 0;
    do :: i < WRITERS -> claimKeeps[KEEPS(g, i)] = 0; claimRoots[CLAIM(g, i)] = 0; claimRoots[CLAIM(g, i + WRITERS)] = 0; i++ :: else -> break od;
    i = 0
}

#if CRASHES > 0
#define CRASH if :: crashes > 0 -> crashes--; goto start :: skip fi
#else
#define CRASH skip
#endif

proctype collector(byte c) {
    byte g, p, i, live, kept, plan, there, present, view, waitFor;
    byte seenC, seenV, seenD, entry, differ;
    bool over, mine;

start:
    atomic { /* 1: resume what is pending, or begin a new generation */
        g = 0; p = 0; i = 0; live = 0; kept = 0; plan = 0; there = 0; view = 0; waitFor = 0; over = false; mine = false;
#if STALE
        waiting[c] = 0;
#endif
        SEE_CONDEMNED(condemned, oldCondemned, seenC);
        SEE_CONDEMNED(verdicts, oldVerdicts, seenV);
        SEE_CONDEMNED(dones, oldDones, seenD);
        pending(seenC, seenV, seenD, g);
        if
        :: g > 0 -> seenC = 0; seenV = 0; seenD = 0; goto resume
        :: else -> highest(seenC, seenV, seenD, g); g++; seenC = 0; seenV = 0; seenD = 0
        fi;
        if :: g > GENERATIONS -> goto stop :: else fi;
#ifdef ENDING
        /* the last generation of the model begins when everybody else has ended */
        if :: g == GENERATIONS -> goto last :: else fi
#endif
    }
#ifdef ENDING
    goto mark;
last:
    atomic { ended == WRITERS + READERS && sessions == 0 -> quiet = true }
mark:
#endif
    atomic {
        CRASH;
        addSnapshots();
        addSessions();
#ifdef COMPACT
    }
    atomic { /* 2: one pack that is partly live may be written anew */
        CRASH;
        p = 0;
        do
        :: p < PACKS && (packs & BIT(p)) && (holds[p] & live) && (holds[p] & ~live) && nextPack < PACKS ->
            newPack(holds[p] & live); break
        :: p < PACKS -> p++
        :: p == PACKS -> break
        od;
        p = 0
    }
    atomic {
#endif
        SEE_PACKS(there);
        plan = there;
        p = PACKS;
#ifdef ANY_PLAN /* the mark of step 1 is advice: here it may also be as wrong as can be */
        if :: p = 0 :: skip fi;
#endif
        do :: p > 0 -> p--; if :: plan & BIT(p) -> takeBack() :: else fi :: else -> break od;
        there = 0; live = 0; p = 0;
        if :: plan == 0 -> goto nothing :: else fi
    }
    atomic { /* 3: putIfAbsent */
        CRASH;
        if
        :: condemned & BIT(g) -> goto start
        :: else -> condemned = condemned | BIT(g); condemnedPacks[g] = plan; plan = 0
        fi
    }
    GRACE GRACE
    atomic {
        CRASH;
        lookWhetherOver();
        if :: over -> condemned = condemned & ~BIT(g); condemnedPacks[g] = 0; goto start :: else fi
    }
    goto take;

resume:
    GRACE GRACE
take:
    atomic {
        CRASH;
        if :: verdicts & BIT(g) -> goto found :: else fi;
        SEE_SESSIONS(waitFor);
        waitFor = waitFor & (BIT(WRITERS) - 1)
    }
    do /* 4: each of them claims, ends or is fenced */
    :: atomic { waitFor == 0 -> break }
    :: atomic { /* see the claim, or that the session is gone */
            waitFor & (claims[g] | ~sessions) -> CRASH; waitFor = waitFor & ~claims[g] & sessions
        }
    :: atomic { waitFor != 0 && ((dones & BIT(g)) || !(condemned & BIT(g))) -> goto start }
    od;

decide: /* 5 */
    GRACE
#ifdef BROKEN_CLAIMS_FIRST
    atomic { CRASH; addClaims() }
    atomic { addSessions() }
    atomic { addSnapshots() }
#else
    atomic { CRASH; addSnapshots() }
    GRACE GRACE
    atomic { addClaims() }
    atomic { addSessions() }
#endif
    atomic {
        CRASH;
        SEE_PACKS(there);
        plan = condemnedPacks[g] & ~kept;
        p = 0;
        do :: p < PACKS -> if :: plan & BIT(p) -> takeBack() :: else fi; p++ :: else -> break od;
        there = 0; live = 0; kept = 0; p = 0
    }
#ifdef BROKEN_NO_VERDICT
    atomic { decided[g] = decided[g] | plan }
#else
    atomic { /* putIfAbsent; whoever finds one there uses it */
        if
        :: verdicts & BIT(g) -> skip
        :: else ->
            verdicts = verdicts | BIT(g);
            verdictPacks[g] = plan;
            mine = true;
            if :: (condemned & BIT(g)) && !(dones & BIT(g)) -> decided[g] = plan :: else fi
        fi;
        plan = 0
    }
#endif
found:
#ifndef BROKEN_LOOK_AT_ONCE
    GRACE
#endif
    atomic {
        CRASH;
        lookWhetherOver();
        if
        :: over ->
            if :: mine -> verdicts = verdicts & ~BIT(g); verdictPacks[g] = 0 :: else fi;
            goto start
        :: else ->
#ifndef BROKEN_NO_VERDICT
            plan = verdictPacks[g]
#else
            skip
#endif
        fi
    }
    do /* 6 */
    :: atomic {
            plan != 0 ->
            CRASH;
            p = 0;
            do :: !(plan & BIT(p)) -> p++ :: else -> break od;
            plan = plan & ~BIT(p);
#ifndef BROKEN_UNCHECKED
            assert(decided[g] & BIT(p));
#endif
            packs = packs & ~BIT(p);
            p = 0;
            check()
        }
    :: atomic { plan == 0 -> break }
    od;
    GRACE
#ifdef BROKEN_CLAIMS_GO_FIRST
    atomic { removeClaims() }
#endif
#ifdef BROKEN_NO_LEDGER
    atomic { CRASH; dones = BIT(g) }
    atomic { CRASH; removeClaims() }
    atomic { verdicts = verdicts & ~BIT(g); verdictPacks[g] = 0 }
    atomic { condemned = condemned & ~BIT(g); condemnedPacks[g] = 0 }
    atomic { dones = 0; decided[g] = 0; goto start }
#else
    atomic { CRASH; dones = dones | BIT(g) }
    atomic { CRASH; removeClaims() }
    atomic { CRASH; verdicts = verdicts & ~BIT(g); verdictPacks[g] = 0 }
    atomic { CRASH; condemned = condemned & ~BIT(g); condemnedPacks[g] = 0 }
    atomic { /* the ledger: only the newest .done stays in the model */
        dones = dones & ~(BIT(g) - 1);
        goto start
    }
#endif
nothing:
#ifdef ENDING
    atomic { if :: !quiet -> goto start :: else fi }
stop:
    atomic { /* every pack that is left has a chunk of a snapshot */
        assert(quiet);
        i = 0;
        do :: i < SNAPSHOTS -> if :: committed & BIT(i) -> live = live | refs[i] :: else fi; i++ :: else -> break od;
        p = 0;
        do :: p < PACKS -> assert(!(packs & BIT(p)) || (holds[p] & live)); p++ :: else -> break od;
        finished = true
    }
#else
stop:
    skip
#endif
}

#if STALE
/* The copies of directories that listings may still show are renewed at any time, each by itself. */
inline renewed(d) {
    i = 0;
    do :: i < COLLECTORS -> waiting[i] = waiting[i] & ~(d); i++ :: else -> break od;
    i = 0
}
proctype cache() {
    byte i;
end:
    do
    :: d_step { (STALE & 1) && (oldPacks != packs || WAITED(1)) -> oldPacks = packs; renewed(1) }
    :: d_step { (STALE & 2) && (oldCommitted != committed || WAITED(2)) -> oldCommitted = committed; renewed(2) }
    :: d_step { (STALE & 4) && (oldSessions != sessions || WAITED(4)) -> oldSessions = sessions; renewed(4) }
    :: d_step {
            (STALE & 8) && (WAITED(8) || oldCondemned != condemned || oldVerdicts != verdicts || oldDones != dones ||
                oldClaims[1] != claims[1] || oldClaims[GENERATIONS] != claims[GENERATIONS]) ->
            oldCondemned = condemned; oldVerdicts = verdicts; oldDones = dones;
            i = 1;
            do :: i <= GENERATIONS -> oldClaims[i] = claims[i]; i++ :: else -> break od;
            renewed(8)
        }
    od
}
#endif

init {
    byte i;
    atomic {
        holds[0] = A | B;
        holds[1] = B;
        refs[0] = A;
        i = 0; do :: i < WRITERS -> run writer(i); run heartbeat(i); i++ :: else -> break od;
        i = 0; do :: i < READERS -> run reader(WRITERS + i); i++ :: else -> break od;
        i = 0; do :: i < COLLECTORS -> run collector(i); i++ :: else -> break od;
#ifndef NO_FENCE
        i = 0; do :: i < WRITERS -> run fencer(i); i++ :: else -> break od;
#endif
        i = 0;
        run pruner();
#if STALE
        run cache();
#endif
    }
}
