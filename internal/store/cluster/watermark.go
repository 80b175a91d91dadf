package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/repair"
	"weir/internal/store/cluster/rows"
)

// watermark is what this node knows of its own writes to the database. DESIGN.md, "A database that
// was set back", says what follows from it.
type watermark struct {
	turn  sync.Mutex // held while the bucket and the database are asked
	node  string     // the node whose beat it is; guarded by turn
	beat  int64      // the last one that the database has confirmed, 0: none; guarded by turn
	began time.Time  // when that one began: it comes after the commits before; guarded by turn

	mu      sync.Mutex
	commits []confirmed // the last ones that the database has confirmed; guarded by mu
	lost    string      // why nothing is collected; "" when it is; guarded by mu
}

// confirmed is an object whose rows were committed.
type confirmed struct {
	object string
	at     time.Time
}

// knownCommits is how many commits a node remembers. Of commits that run at the same time, nobody
// knows which is last in the database's log; but all of them come before so many later ones.
const knownCommits = 16

// confirm notes that the rows of an object were committed.
func (w *watermark) confirm(object string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.commits) == knownCommits {
		w.commits = append(w.commits[:0], w.commits[1:]...)
	}
	w.commits = append(w.commits, confirmed{object, time.Now()})
}

// known returns objects that the database must know, since they were committed less than a given
// time ago.
func (w *watermark) known(within time.Duration) (objects []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.commits {
		if time.Since(c.at) < within {
			objects = append(objects, c.object)
		}
	}
	return objects
}

// forget drops everything: the database or the node is a different one now.
func (w *watermark) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commits = nil
}

// leave gives up the node's watermark, which from now on counts like another node's.
func (w *watermark) leave() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.node = ""
	w.forget()
}

// setLost notes why nothing is collected; "" when it is. The first time it is also logged.
func (w *watermark) setLost(reason string, log *slog.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if reason != "" && w.lost == "" {
		log.Error("the database has lost commits: nothing is collected until "+
			"weir check --repair has brought back what the objects have", "reason", reason)
	}
	w.lost = reason
}

// beat writes to the database that this node is there, and then to the bucket that it did so. If
// the database has lost an earlier beat or a commit, beat first notes that.
func (s *Store) beat(ctx context.Context) error {
	s.mark.turn.Lock()
	defer s.mark.turn.Unlock()
	node := *s.node.Load()
	if s.mark.node != node {
		s.mark.node, s.mark.beat, s.mark.began = node, 0, time.Time{}
	}
	began := time.Now()
	known := s.mark.known(min(s.o.OrphanAge/2, began.Sub(s.mark.began)))
	beat, err := s.db.Beat(ctx, node, s.mark.beat, known)
	if errors.Is(err, rows.ErrSetBack) {
		reason := fmt.Sprintf("not all that node %s has written is there", node)
		if err := s.setBack(ctx, reason); err != nil {
			return err
		}
		beat, err = s.db.Beat(ctx, node, 0, nil)
	}
	if err != nil {
		return err
	}
	s.mark.beat, s.mark.began = beat, began
	err = s.bucket.Put(ctx, contents.Watermarks+node, repair.Watermark(beat))
	if err != nil {
		return err
	}
	reason, err := s.db.Setback(ctx)
	if err != nil {
		return err
	}
	s.mark.setLost(reason, s.log)
	return nil
}

// setBack notes in the bucket and in the database that commits were lost, before anything else is
// committed. The caller holds mark.turn.
func (s *Store) setBack(ctx context.Context, reason string) error {
	at := s.o.Clock().UTC()
	text, err := json.Marshal(map[string]any{"noticed": at, "reason": reason})
	if err != nil {
		return err
	}
	key := contents.Setbacks + at.Format("20060102T150405.000")
	if err := s.bucket.Put(ctx, key, text); err != nil {
		return fmt.Errorf("loss of commits: %w", err)
	}
	if err := s.db.SetBack(ctx, reason); err != nil {
		return fmt.Errorf("loss of commits: %w", err)
	}
	s.mark.forget()
	s.mark.setLost(reason, s.log)
	return nil
}

// lostCommit notes that the database has lost a commit of this node.
func (s *Store) lostCommit(ctx context.Context) error {
	s.mark.turn.Lock()
	defer s.mark.turn.Unlock()
	return s.setBack(ctx, "node "+s.mark.node+" has committed what is not there")
}

// checkWatermarks compares the database with the watermarks in the bucket. It replaces a watermark
// that the database is behind with a note of the loss. This node's own watermark is left to its
// heartbeat.
func (s *Store) checkWatermarks(ctx context.Context) error {
	s.mark.turn.Lock()
	defer s.mark.turn.Unlock()
	return s.compareWatermarks(ctx)
}

func (s *Store) compareWatermarks(ctx context.Context) error {
	behind, err := repair.Behind(ctx, s.db, s.bucket, s.mark.node)
	if err != nil || len(behind) == 0 {
		return err
	}
	reason := fmt.Sprintf("the database does not have the last writes of node %s", behind[0])
	if err := s.setBack(ctx, reason); err != nil {
		return err
	}
	keys := make([]string, len(behind))
	for i, node := range behind {
		keys[i] = contents.Watermarks + node
	}
	return s.bucket.Delete(ctx, keys)
}

// forgetWatermarks drops the watermarks of nodes that were silent for Options.OrphanAge, from the
// bucket first.
func (s *Store) forgetWatermarks(ctx context.Context, l *tenure) error {
	list, err := s.db.Watermarks(ctx)
	if err != nil {
		return err
	}
	var nodes, keys []string
	for _, w := range list {
		if w.Age > s.o.OrphanAge && w.Node != *s.node.Load() {
			nodes, keys = append(nodes, w.Node), append(keys, contents.Watermarks+w.Node)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	if err := s.bucket.Delete(ctx, keys); err != nil {
		return err
	}
	return s.db.ForgetWatermarks(ctx, l.lease, nodes)
}

// collectable reports whether objects may be deleted: no commits are lost, or the loss is repaired.
// It asks both the bucket and the database, since the database may have been set back again.
func (s *Store) collectable(ctx context.Context) (bool, error) {
	s.mark.turn.Lock()
	defer s.mark.turn.Unlock()
	if err := s.compareWatermarks(ctx); err != nil {
		return false, err
	}
	reason, err := s.db.Setback(ctx)
	if err != nil {
		return false, err
	}
	for info, err := range s.bucket.List(ctx, contents.Setbacks, "") {
		if err != nil {
			return false, fmt.Errorf("loss of commits: %w", err)
		}
		says := "object " + info.Key + " says so"
		if err := s.db.SetBack(ctx, says); err != nil {
			return false, err
		}
		reason = cmp.Or(reason, says)
		break
	}
	s.mark.setLost(reason, s.log)
	return reason == "", nil
}

// Degraded says in a sentence what the operator has to do; "" when there is nothing.
func (s *Store) Degraded() string {
	s.mark.mu.Lock()
	defer s.mark.mu.Unlock()
	if s.mark.lost == "" {
		return ""
	}
	return "the database has lost commits and nothing is collected: run weir check --repair"
}
