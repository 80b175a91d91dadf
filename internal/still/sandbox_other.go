//go:build !linux

package still

import "syscall"

// attributes has nothing to offer outside of Linux: the time limit of runs holds, and the list of
// protocols.
func attributes(bool) *syscall.SysProcAttr { return nil }

func (d *Decoder) trySandbox() isolation { return isolation{} }

func confine(string) error { return nil }

func restrict(int, Limits) error { return nil }
