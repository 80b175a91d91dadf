package encryption

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"weir/internal/store"
)

// Somebody who can write to the disk could put his own plain records among the encrypted ones of a
// stream. So a data key is sealed together with the number from which on the stream is encrypted;
// and a mark, which is sealed too, says from which number on it is plain again. Plain records with
// numbers in between are refused. Without the sealing key nobody can make up or change what is
// sealed; and to remove a key is to lose the records under it.

// kindPlain seals a mark.
const kindPlain = "plain-from"

// plainMark is a mark in the file of a stream's keys.
type plainMark struct {
	From   store.Number `json:"from"` // the first number that may be plain again
	Sealed []byte       `json:"sealed"`
}

func markName(id store.StreamID, from store.Number) string {
	return fmt.Sprintf("%s/%d", id, from)
}

// sealedSecret returns what is sealed of a data key: its secret and its number.
func sealedSecret(d *DataKey) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(d.secret), uint64(d.since))
}

// openedSecret reverses sealedSecret. Keys from before there were marks have no number.
func openedSecret(b []byte) (secret []byte, since store.Number, ok bool) {
	switch len(b) {
	case secretSize:
		return b, 0, true
	case secretSize + 8:
		return b[:secretSize], store.Number(binary.BigEndian.Uint64(b[secretSize:])), true
	}
	return nil, 0, false
}

// encryptedAt reports whether a record with that number must be encrypted: the last key or mark
// before it decides. The caller holds s.mu.
func (s *streamKeys) encryptedAt(n store.Number) bool {
	var since, plain store.Number
	for i := range s.opened {
		if at := s.opened[i].since; at <= n {
			since = max(since, at)
		}
	}
	for _, at := range s.plain {
		if at <= n {
			plain = max(plain, at)
		}
	}
	return since > 0 && since >= plain
}

// marked reports whether the next record must be encrypted, unless Plain says otherwise. The caller
// holds s.mu.
func (s *streamKeys) marked() bool { return s.encryptedAt(math.MaxInt64) }

// refusePlain is the error for plain records of a stream among its encrypted ones:
// store.ErrCorrupt.
func (k *Keys) refusePlain(id store.StreamID, numbers ...store.Number) error {
	if k == nil || k.opens == nil {
		return nil
	}
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := k.loadOnce(s, id); err != nil {
		return err
	}
	if slices.ContainsFunc(numbers, s.encryptedAt) {
		return fmt.Errorf("%w: plain record where stream %s has encrypted ones only",
			store.ErrCorrupt, id)
	}
	return nil
}

// Marked reports whether a stream must have only encrypted records from some number on. Before the
// next plain one, MarkPlain must be called.
func (k *Keys) Marked(id store.StreamID) (bool, error) {
	if k == nil || k.opens == nil {
		return false, nil
	}
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := k.loadOnce(s, id)
	return err == nil && s.marked(), err
}

// MarkPlain says that the records of a marked stream are plain again after number newest, the
// greatest that is stored (0: none is). It is durable on return. store.ErrFull.
func (k *Keys) MarkPlain(id store.StreamID, newest store.Number) error {
	s := k.of(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	from := newest + 1
	for i := range s.opened {
		from = max(from, s.opened[i].since+1)
	}
	file := s.file
	file.Version = keyFileVersion
	file.Plain = append(slices.Clone(file.Plain), plainMark{From: from,
		Sealed: k.sealer("").Seal(kindPlain, markName(id, from), nil)})
	if err := k.put(id, &file); err != nil {
		s.read = false // it may be there or not
		return err
	}
	s.file, s.plain = file, append(slices.Clone(s.plain), from)
	return nil
}
