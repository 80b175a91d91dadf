package volume

import (
	"errors"
	"sync"
)

// idleFiles keeps files open between reads. Opening a volume costs three system calls and a walk
// through its path, and segments of one volume are often fetched one after the other, by one player
// or by many. There are at most Options.IdleFiles.
//
// A file is either in use by one body or idle, because net/http sends from the file's own offset.
// The space of a deleted volume is not freed before its last file is closed. So drop closes the
// idle ones, and those in use are closed when they are given back. The zero value keeps nothing.
type idleFiles struct {
	mu    sync.Mutex
	most  int        // files kept
	files []idleFile // the one used last at the end
	drops int        // number of drops: a file that was taken before the last one is not kept
}

type idleFile struct {
	name string // of the volume
	file File
}

// idleFor returns how many files to keep open between reads when a process may have so many open
// files: 128, or a quarter of few, so that some are left for connections. -1: none.
func idleFor(files uint64) int {
	if n := int(min(files/4, 128)); n > 0 {
		return n
	}
	return -1
}

// take returns an idle file of a volume, nil when there is none, and what to pass to give.
func (i *idleFiles) take(name string) (f File, drops int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for at := len(i.files) - 1; at >= 0; at-- {
		if i.files[at].name == name {
			f = i.files[at].file
			i.files = append(i.files[:at], i.files[at+1:]...)
			break
		}
	}
	return f, i.drops
}

// give keeps a file that is no longer in use, or closes it.
func (i *idleFiles) give(name string, f File, drops int) error {
	i.mu.Lock()
	if i.most == 0 || drops != i.drops {
		i.mu.Unlock()
		return f.Close()
	}
	var oldest File
	if len(i.files) == i.most {
		oldest = i.files[0].file
		i.files = append(i.files[:0], i.files[1:]...)
	}
	i.files = append(i.files, idleFile{name, f})
	i.mu.Unlock()
	if oldest != nil {
		return oldest.Close()
	}
	return nil
}

// drop closes the idle files of the volumes that which selects.
func (i *idleFiles) drop(which func(name string) bool) error {
	i.mu.Lock()
	i.drops++
	var closing []File
	kept := i.files[:0]
	for _, f := range i.files {
		if which(f.name) {
			closing = append(closing, f.file)
		} else {
			kept = append(kept, f)
		}
	}
	clear(i.files[len(kept):])
	i.files = kept
	i.mu.Unlock()
	var errs []error
	for _, f := range closing {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// close closes every idle file. Files that are given back later are closed too.
func (i *idleFiles) close() error {
	i.mu.Lock()
	i.most = 0
	i.mu.Unlock()
	return i.drop(func(string) bool { return true })
}
