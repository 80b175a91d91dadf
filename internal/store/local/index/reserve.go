package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"weir/internal/store"
)

// The index works even when other programs have taken the last byte of the disk, so that streams
// can be deleted and the server can start. Three things need space, and each has it in advance:
//
//   - The log. Its first logReserve bytes are allocated, and remain so when the index is closed. A
//     transaction that finds no room after them moves the log into the database file and begins it
//     again.
//   - Moving the log into the database. No transaction that extends the database is committed
//     before the file has the space (grow), so the log can always be moved.
//   - New pages of the database, for the rows of fragments that are already acknowledged. The table
//     reserve holds pages for such a transaction when there are no others (durability.reserved).
const (
	logReserve   = 4 << 20
	shmReserve   = 96 << 10 // of the -shm file: for a log of 12,000 pages
	pieceReserve = 64 << 10 // a row of the table
	pieces       = 32       // 8,192 rows of fragments, as many as a volume has, need less
)

// ioErrInPage is SQLITE_IOERR_IN_PAGE: a mapped page could not be read.
const ioErrInPage = sqlite3.SQLITE_IOERR | 34<<8

// full turns SQLite's errors about missing space into store.ErrFull.
func full(err error) error {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return err
	}
	// The others are about the -shm file: it cannot be extended, or, where blocks are smaller than
	// pages, a part of it cannot be filled.
	switch code := failed.Code(); {
	case code&0xff == sqlite3.SQLITE_FULL, code == sqlite3.SQLITE_IOERR_SHMSIZE,
		code == ioErrInPage:
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// Reserve implements local.Index.
func (x *SQLite) Reserve(ctx context.Context) error {
	x.writing <- struct{}{}
	done, logged := x.reserved, x.documents.file != nil
	x.keepLog = true
	<-x.writing
	if !logged {
		if err := x.logAgain(ctx); err != nil {
			return err
		}
	}
	if done {
		return nil
	}
	if err := allocate(x.log, 0, logReserve); err != nil {
		return fmt.Errorf("%w for the log of the index: %w", store.ErrFull, err)
	}
	return x.write(ctx, durable, func(t *tx) error {
		_, err := t.exec(`WITH RECURSIVE piece (n) AS
			(SELECT 1 UNION ALL SELECT n + 1 FROM piece WHERE n < ?)
			INSERT INTO reserve (n, filler) SELECT n, zeroblob(?) FROM piece WHERE true
			ON CONFLICT DO NOTHING`, pieces, pieceReserve)
		t.onCommit(func() { x.reserved = true })
		return err
	})
}

// take frees pages of the reserve for this transaction. store.ErrFull when there are none.
func (t *tx) take(n int) error {
	taken, err := t.exec(`DELETE FROM reserve WHERE n IN (SELECT n FROM reserve LIMIT ?)`, n)
	if err != nil || taken > 0 {
		t.x.reserved = false
		return err
	}
	return fmt.Errorf("%w: nothing is left of the reserve", store.ErrFull)
}

// errGrow says that the database file cannot be extended. To begin the log again does not help
// then.
var errGrow = fmt.Errorf("%w for the index", store.ErrFull)

// grow allocates what the transaction adds to the database file.
func (t *tx) grow() error {
	var pages int64
	if err := t.row([]any{&pages}, "PRAGMA page_count"); err != nil {
		return err
	}
	x := t.x
	if pages <= x.pages {
		return nil
	}
	if err := allocate(x.file, x.pages*x.pageSize, (pages-x.pages)*x.pageSize); err != nil {
		return fmt.Errorf("%w: %w", errGrow, err)
	}
	t.onCommit(func() { x.pages = pages })
	return nil
}

// measure opens the log, finds the length of the database, and allocates it, since an older version
// may have left rows in the log that the database has no room for.
func (x *SQLite) measure(ctx context.Context) error {
	err := x.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&x.pageSize)
	if err == nil {
		err = x.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&x.pages)
	}
	if err != nil {
		return err
	}
	_ = allocate(x.file, 0, x.pages*x.pageSize) // a disk that is full already: no worse than before
	if err := x.openLog(); err != nil || x.shm == nil {
		return err
	}
	if err := allocate(x.shm, 0, shmReserve); err != nil {
		return fmt.Errorf("%w for the shared memory of the index: %w", store.ErrFull, err)
	}
	return nil
}

// openLog opens the log, which SQLite has made, if it is not open yet.
func (x *SQLite) openLog() (err error) {
	if x.log == nil {
		x.log, err = os.OpenFile(x.path+"-wal", os.O_RDWR, 0)
	}
	return err
}

// restart moves the log into the database file and makes the next transaction begin the log again.
// It returns false when a reader is in the way.
func (x *SQLite) restart(ctx context.Context) (bool, error) {
	var busy, frames, done int
	err := x.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(RESTART)").Scan(&busy, &frames, &done)
	return err == nil && busy == 0 && done == frames, err
}

// keep makes SQLite leave the log where it is when the last connection is closed. It returns false
// when that is not wanted, or when the database file does not have all that is in the log.
func (x *SQLite) keep() (bool, error) {
	if !x.keepLog || x.conn == nil {
		return false, nil
	}
	empty, err := x.restart(context.Background())
	if err != nil || !empty {
		return false, err
	}
	if err := x.openLog(); err != nil { // Close clears it
		return false, err
	}
	// With a limit, SQLite would truncate it to nothing.
	ctx := context.Background()
	if _, err := x.conn.ExecContext(ctx, "PRAGMA journal_size_limit = -1"); err != nil {
		return false, err
	}
	err = x.conn.Raw(func(c any) error {
		_, err := c.(sqlite.FileControl).FileControlPersistWAL("main", 1)
		return err
	})
	return err == nil, err
}

// clearLog empties the log that keep has left: put beside another index, it must not change that
// one.
func clearLog(log *os.File) error {
	info, err := log.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	if _, err := log.WriteAt(make([]byte, logHeader), 0); err != nil {
		return err
	}
	if info.Size() > logReserve {
		if err := log.Truncate(logReserve); err != nil {
			return err
		}
	}
	return log.Sync()
}

// logHeader is the size of the header of a write-ahead log (SQLite, Database File Format, 4.1).
const logHeader = 32

// emptyLog reports whether the log at a path has no content: it does not exist, has no bytes, or
// was cleared.
func emptyLog(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read
	header := make([]byte, logHeader)
	n, _ := f.ReadAt(header, 0) // what cannot be read is not a header
	for _, b := range header[:n] {
		if b != 0 {
			return false, nil
		}
	}
	return true, nil
}
