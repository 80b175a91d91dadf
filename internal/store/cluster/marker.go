package cluster

import (
	"context"
	"fmt"

	"weir/internal/store/cluster/contents"
	"weir/internal/store/cluster/repair"
)

// ErrOtherCluster is repair.ErrOtherCluster.
var ErrOtherCluster = repair.ErrOtherCluster

// checkMarker checks that bucket and database belong together, and marks a bucket that no cluster
// uses. ErrOtherCluster.
func (s *Store) checkMarker(ctx context.Context) error {
	id, marked, err := s.db.BucketID(ctx)
	if err != nil {
		return err
	}
	var found bool
	if !marked { // before the marker is read: objects come after it
		if found, err = s.foreign(ctx); err != nil {
			return err
		}
	}
	has, err := repair.Marker(ctx, s.bucket)
	switch {
	case err != nil:
		return err
	case has == id && marked:
		return nil
	case has == id:
		return s.db.SetMarked(ctx)
	case has != "":
		return fmt.Errorf("%w: the objects belong to another database (object %q has ID %s, "+
			"the database %s)", ErrOtherCluster, contents.Marker, has, id)
	case marked:
		return fmt.Errorf("%w: object %q with ID %s is missing; is it another bucket or prefix?",
			ErrOtherCluster, contents.Marker, id)
	case found:
		return fmt.Errorf("%w: there are objects that the database does not know; "+
			"use another prefix, or the database that knows them", ErrOtherCluster)
	}
	if err := s.bucket.Put(ctx, contents.Marker, []byte(id)); err != nil {
		return err
	}
	return s.db.SetMarked(ctx)
}

// foreign says that a bucket without a marker does not belong to this database: it has objects, and
// the database knows none of the first ones; or it has none, and the database knows some. A
// database may know objects from before there were markers.
func (s *Store) foreign(ctx context.Context) (bool, error) {
	knows, err := s.db.AnyObject(ctx)
	if err != nil {
		return false, err
	}
	var keys []string
	for _, prefix := range swept {
		n := 0
		for info, err := range s.bucket.List(ctx, prefix, "") {
			if err != nil {
				return false, err
			}
			keys = append(keys, info.Key)
			if n++; n == sweepRows {
				break
			}
		}
	}
	if !knows || len(keys) == 0 {
		return knows || len(keys) > 0, nil
	}
	known, err := s.db.FindObjects(ctx, keys)
	return len(known) == 0, err
}

// sure checks that the bucket still belongs to this database. ErrOtherCluster.
func (s *Store) sure(ctx context.Context) error {
	id, marked, err := s.db.BucketID(ctx)
	if err != nil {
		return err
	}
	has, err := repair.Marker(ctx, s.bucket)
	if err == nil && (!marked || has != id) {
		err = fmt.Errorf("%w: object %q has ID %q, the database %q", ErrOtherCluster,
			contents.Marker, has, id)
	}
	return err
}
