package rows

import (
	"context"
	"crypto/rand"
	"fmt"
)

// BucketIDSize is the length of the ID of a bucket, in bytes.
const BucketIDSize = 26

// BucketID returns the ID of the bucket and prefix that the rows refer to. The first node makes it.
// Marked says that the bucket has it, too: SetMarked was called.
func (db *DB) BucketID(ctx context.Context) (id string, marked bool, err error) {
	_, err = db.exec(ctx, `INSERT INTO bucket (one, id, marked) VALUES (1, $1, 0)
		ON CONFLICT (one) DO NOTHING`, rand.Text())
	if err == nil {
		err = db.row(ctx, []any{&id, &marked}, `SELECT id, marked > 0 FROM bucket WHERE one = 1`)
	}
	if err != nil {
		return "", false, fmt.Errorf("ID of the bucket: %w", err)
	}
	return id, marked, nil
}

// SetMarked notes that the marker object is in the bucket.
func (db *DB) SetMarked(ctx context.Context) error {
	_, err := db.exec(ctx, `UPDATE bucket SET marked = 1 WHERE one = 1`)
	return err
}

// AnyObject reports whether any object has a row.
func (db *DB) AnyObject(ctx context.Context) (found bool, err error) {
	err = db.row(ctx, []any{&found}, `SELECT EXISTS (SELECT 1 FROM objects)`)
	return found, err
}
