package rows

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
)

// objectNames remembers the names of objects by their keys, which never change, so that a list of a
// thousand fragments needs no join. It locks itself, and holds at most maxNames, about 10 MB.
type objectNames struct {
	mu    sync.Mutex
	byKey map[int64]string // guarded by mu
}

const maxNames = 100_000

// errMoved says that a fragment's object no longer has a row: it was moved or deleted between two
// statements.
var errMoved = errors.New("the object of a fragment has gone")

// fill fills in the names that are known, and returns the keys of the others.
func (o *objectNames) fill(k *keyed) (missing []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, key := range k.objects {
		name, ok := o.byKey[key]
		if !ok {
			missing = append(missing, key)
		}
		k.fragments[i].Location.Volume = name
	}
	return missing
}

func (o *objectNames) add(names map[int64]string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byKey)+len(names) > maxNames || o.byKey == nil {
		o.byKey = make(map[int64]string, len(names))
	}
	for key, name := range names {
		o.byKey[key] = name
	}
}

// name fills in the names of fragments' objects. After errMoved the caller reads the fragments
// again.
func (db *DB) name(ctx context.Context, k *keyed) error {
	missing := db.objects.fill(k)
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	names := make(map[int64]string)
	_, err := list(ctx, db.pool, func(rows pgx.Rows) (key int64, err error) {
		var name string
		err = rows.Scan(&key, &name)
		names[key] = name
		return key, err
	}, `SELECT key, name FROM objects WHERE key = ANY($1)`, slices.Compact(missing))
	if err != nil {
		return err
	}
	db.objects.add(names)
	for i, key := range k.objects {
		if k.fragments[i].Location.Volume == "" {
			if k.fragments[i].Location.Volume = names[key]; names[key] == "" {
				return errMoved
			}
		}
	}
	return nil
}
