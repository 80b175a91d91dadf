package handover

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// checkPeer refuses a peer that is neither this process's user nor root, and returns the process at
// the other end.
func checkPeer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, err
	}
	if !trusted(int(peer.Uid), os.Geteuid()) {
		return 0, fmt.Errorf("process %d is of user %d, not of this one's", peer.Pid, peer.Uid)
	}
	return int(peer.Pid), nil
}

// trusted reports whether a user's processes may have the sockets: they could kill this process
// anyway.
func trusted(peer, self int) bool { return peer == self || peer == 0 }
