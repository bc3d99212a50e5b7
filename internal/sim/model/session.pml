/* A session between one client and two sidecars: resume, adopt, fence, drain, stalls, the
 * tunnel, and tokens with epochs. README.md says what of the code is what here, and which
 * promises the assertions are.
 *
 * A guarantee is taken out with -DNO_...: then an assertion has to fail.
 */

#ifndef SAYS
#define SAYS 2          /* messages each way */
#endif
#ifndef EPOCHS
#define EPOCHS 3        /* ownerships */
#endif
#ifndef REVS
#define REVS 6          /* records */
#endif
#define PODS 2
#define NOBODY 9

mtype = { idle, owner, handing, dead };
mtype = { none, resumed, drained, lost };

/* The journal: the newest record. */
byte rev, j_epoch = 1, j_in, j_out;
bool j_handed;

/* The sidecars. */
mtype st[PODS] = idle;
mtype why[PODS] = none;         /* of its adoption, for the client */
byte epoch[PODS], at[PODS];     /* of the ownership; its newest record */
byte in[PODS], out[PODS];       /* messages that it knows: handed to its app; said by that */
bool stopped[PODS], suspect[PODS], lease[PODS], seen[PODS];
bool cut[PODS];                  /* from the journal: it goes on, and does not hear that it was replaced */
byte asked = NOBODY;            /* the sidecar at which the client's handshake is */
bool passed;                    /* it was passed on once */

/* The client: its token's epoch, what it has acknowledged of the app and knows to be
 * acknowledged, and the sidecar that it is attached to. */
byte c_epoch = 1, c_in, c_out, with = 0;
mtype told = none;

/* What nobody knows but the checks. */
byte taken;                     /* the most that any app took */
byte handed_max, said_max;      /* what was taken and said since an owner was lost */
byte drains;

#define other(p) (1 - (p))
#define ACTS(p) (st[p] == owner && !stopped[p] && !suspect[p])

/* An app took a message, or said one. What an owner does that was replaced and cannot
 * know it counts for nothing but I3. */
inline took(p) {
	if :: in[p] > taken -> taken = in[p] :: else fi;
	if :: epoch[p] == j_epoch && in[p] > handed_max -> handed_max = in[p] :: else fi
}
inline said(p) {
	if :: epoch[p] == j_epoch && out[p] > said_max -> said_max = out[p] :: else fi
}

/* A record of sidecar p, by compare-and-set. */
inline record(p, whole) {
	if
#ifdef NO_FENCE
	:: true ->
#else
	:: at[p] == rev && epoch[p] == j_epoch ->
#endif
		assert(epoch[p] >= j_epoch);    /* I5: no record of an owner that was replaced */
		rev++; at[p] = rev; j_epoch = epoch[p];
		j_in = in[p]; j_out = out[p]; j_handed = whole;
		suspect[p] = false; seen[p] = false
	:: else ->
		st[p] = idle; suspect[p] = false; /* fenced: it lets go */
		if :: with == p -> with = NOBODY :: else fi
	fi
}

/* The client is welcomed by sidecar p with a status. */
inline welcome(p, status) {
#ifdef NO_EPOCH
	assert(epoch[p] >= c_epoch);
	with = p; told = status; c_epoch = epoch[p];
#else
	if
	:: epoch[p] >= c_epoch -> with = p; told = status; c_epoch = epoch[p]
	:: else -> skip                 /* it drops the connection */
	fi;
#endif
	if
	:: status == drained && with == p ->
		/* "drained" is whole: what any app said and took is known to the new owner. */
		assert(out[p] >= said_max);
		assert(in[p] >= handed_max)
	:: else
	fi
}

proctype pod(byte p) {
	byte r, e, i, o; bool h;
	do
	/* The app's socket takes a message of the client. */
	:: atomic { ACTS(p) && with == p && in[p] < SAYS ->
		assert(j_epoch == epoch[p] || !seen[p]);  /* I5: nothing by one that stalled and was replaced */
		in[p]++; took(p) }
	/* And the client hears of that. */
	:: atomic { ACTS(p) && with == p && c_in < in[p] -> c_in = in[p] }
#ifdef NO_ACK_ORDER
	:: atomic { ACTS(p) && with == p && c_in < SAYS -> c_in++ }
#endif
	/* The app says a message; the client gets it. */
	:: atomic { ACTS(p) && out[p] < SAYS -> out[p]++; said(p) }
	:: atomic { ACTS(p) && with == p && c_out < out[p] -> c_out++ }
	/* The journal gets a record. */
	:: atomic { st[p] == owner && !stopped[p] && !cut[p] && rev < REVS -> record(p, false) }
	/* The process stands still; others may take it for dead, and adopt. */
	:: atomic { st[p] == owner && !stopped[p] -> stopped[p] = true; lease[p] = false }
	:: atomic { stopped[p] && st[p] != dead -> stopped[p] = false; lease[p] = true; seen[p] = true;
#ifndef NO_STALL_CHECK
		if :: st[p] == owner || st[p] == handing -> suspect[p] = true :: else fi
#endif
	   }
	/* It is cut off from the journal, and reachable for clients. */
	:: atomic { st[p] == owner && !cut[p] && !stopped[p] -> cut[p] = true; lease[p] = false }
	:: atomic { cut[p] -> cut[p] = false; lease[p] = true }
	/* It dies. */
	:: atomic { st[p] != dead && st[other(p)] != dead -> st[p] = dead; lease[p] = false; if :: with == p -> with = NOBODY :: else fi; if :: asked == p -> asked = NOBODY :: else fi }
	/* It drains: the app is fed no more, and then all is written. */
	:: atomic { ACTS(p) && drains < 1 -> st[p] = handing; drains++ }
	:: atomic { st[p] == handing && !stopped[p] && !suspect[p] && out[p] < SAYS -> out[p]++; said(p) }
#ifdef NO_QUIET
	:: atomic { st[p] == handing && !stopped[p] && !suspect[p] && in[p] < SAYS && with == p -> in[p]++; took(p) }
	:: atomic { st[p] == handing && !stopped[p] && !cut[p] && rev < REVS -> record(p, true); }
#endif
#ifdef NO_WHOLE
	:: atomic { st[p] == handing && !stopped[p] && !cut[p] && rev < REVS && out[p] > 0 -> out[p]--; record(p, true); st[p] = idle; if :: with == p -> with = NOBODY :: else fi }
#else
	:: atomic { st[p] == handing && !stopped[p] && !cut[p] && rev < REVS -> record(p, true); if :: !suspect[p] -> st[p] = idle :: else fi; if :: with == p -> with = NOBODY :: else fi }
#endif
	/* A handshake: the session is here. */
	:: atomic { asked == p && !stopped[p] && st[p] == owner && !suspect[p] ->
		if
#ifndef NO_TOKEN_EPOCH
		:: c_epoch > epoch[p] -> st[p] = idle           /* the token proves another owner: it lets go, and looks again */
#endif
		:: else -> asked = NOBODY; passed = false;
			if
			:: c_in > in[p] || c_out > out[p] -> skip       /* RESET 3: it is of another history */
			:: else ->
			if
			:: c_epoch < epoch[p] -> welcome(p, why[p])     /* its token is from before the adoption: that WELCOME was lost */
			:: else -> welcome(p, resumed)
			fi
			fi
		fi }
	/* It is at the other sidecar, which can be asked. */
	:: atomic { asked == p && !stopped[p] && st[p] == idle && (st[other(p)] == owner || st[other(p)] == handing) && !stopped[other(p)] ->
		if :: passed -> asked = NOBODY; passed = false :: else -> asked = other(p); passed = true fi
	   }
	/* It adopts: it reads, and claims behind what it has read. Between the two all may happen. */
	:: atomic { asked == p && !stopped[p] && !cut[p] && st[p] == idle && !passed && rev < REVS && j_epoch < EPOCHS &&
		(j_handed || !lease[other(p)] || st[other(p)] == dead || st[other(p)] == idle)
		-> r = rev; e = j_epoch; i = j_in; o = j_out; h = j_handed };
		atomic {
		if
		:: st[p] == dead || stopped[p] -> skip
#ifdef NO_FENCE
		:: else ->
#else
		:: st[p] != dead && !stopped[p] && rev != r -> skip     /* another one was faster, or the read was stale */
		:: else ->
#endif
			rev++; j_epoch = e + 1; j_handed = false;
			assert(!(st[other(p)] == owner && epoch[other(p)] == e + 1));   /* I5: one owner per epoch */
			st[p] = owner; epoch[p] = e + 1; at[p] = rev; lease[p] = true; suspect[p] = false; seen[p] = false;
			in[p] = i; out[p] = o;
			if :: c_in > in[p] -> in[p] = c_in :: else fi;  /* the client's next counts if it is ahead */
			if :: c_out > out[p] -> out[p] = c_out :: else fi;
			if
			:: h -> why[p] = drained
			:: else -> why[p] = lost; said_max = out[p]; handed_max = in[p]  /* the client is told that something may be missing, or come twice */
			fi;
			if :: asked == p -> asked = NOBODY; welcome(p, why[p]) :: else fi
		fi; r = 0; e = 0; i = 0; o = 0; h = false }
	:: st[p] == dead -> break
	od
}

proctype client() {
	do
	:: atomic { asked == NOBODY && (with == NOBODY || true) -> asked = 0; passed = false; with = NOBODY }
	:: atomic { asked == NOBODY -> asked = 1; passed = false; with = NOBODY }
	/* A handshake is given up. */
	:: atomic { asked != NOBODY -> asked = NOBODY; passed = false }
	/* I3: what it knows to be acknowledged was taken by an app. */
	:: atomic { c_in > taken -> assert(false) }
	od
}

init {
	atomic {
		st[0] = owner; epoch[0] = 1; rev = 1; at[0] = 1; lease[0] = true; lease[1] = true;
		run pod(0); run pod(1); run client()
	}
}
