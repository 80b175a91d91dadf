package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// programs are the players that are programs of their own. Each decodes into two files, raw
// pictures and raw sound.
func programs(t *testing.T) []player {
	dir := t.TempDir()
	// VLC does not run as root; as somebody else it must reach its files.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	gray := numberedWidth * numberedHeight
	return []player{
		{name: "ffmpeg", play: func(u string, c playCase) (shown, error) {
			return programRun{dir: dir, stride: gray}.run(c, func(video, audio string) []string {
				args := []string{"ffmpeg", "-v", "error", "-i", u}
				length := []string{}
				if c.mode == "LIVE" {
					length = []string{"-t", strconv.Itoa(liveSeconds)}
				}
				if c.codec.video != "" {
					// In the time base of the source: a frame at the time of the one before it
					// goes.
					args = append(append(args, length...), "-map", "0:v:0", "-fps_mode",
						"passthrough", "-enc_time_base", "-1", "-pix_fmt", "gray", "-f", "rawvideo",
						video)
				}
				if c.codec.audio != "" {
					args = append(append(args, length...), "-map", "0:a:0", "-ac", "1", "-ar",
						"48000", "-f", "s16le", audio)
				}
				return args
			})
		}},
		{name: "GStreamer", play: func(u string, c playCase) (shown, error) {
			return programRun{dir: dir, stride: gray, endless: c.mode == "LIVE"}.run(c,
				func(video, audio string) []string {
					return []string{"gst-launch-1.0", "-q", "playbin3", "uri=" + u,
						"video-sink=videoconvert ! video/x-raw,format=GRAY8 ! filesink " +
							"buffer-mode=unbuffered location=" + video,
						"audio-sink=audioconvert ! audioresample ! " +
							"audio/x-raw,format=S16LE,channels=1,rate=48000 ! filesink " +
							"buffer-mode=unbuffered location=" + audio}
				})
		}},
		{name: "VLC", play: func(u string, c playCase) (shown, error) {
			return programRun{dir: dir, stride: gray * 3 / 2, endless: c.mode == "LIVE", spare: 4,
				nobody: true}.run(c, func(video, audio string) []string {
				file := "std{access=file,mux=dummy,dst=%s},select=%s"
				return []string{"cvlc", "-q", u, "--sout",
					"#transcode{vcodec=I420,acodec=s16l,channels=1,samplerate=48000}:" +
						"duplicate{dst=" +
						fmt.Sprintf(file, video, "video") + ",dst=" +
						fmt.Sprintf(file, audio, "audio") + "}", "vlc://quit"}
			})
		}},
	}
}

// programRun runs a program once.
type programRun struct {
	dir     string
	stride  int  // bytes of a raw picture
	endless bool // it is stopped when it has shown enough
	spare   int
	nobody  bool
}

func (p programRun) run(c playCase, args func(video, audio string) []string) (shown, error) {
	dir, err := os.MkdirTemp(p.dir, "")
	if err != nil {
		return shown{}, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		return shown{}, err
	}
	video, audio := filepath.Join(dir, "video"), filepath.Join(dir, "audio")
	line := args(video, audio)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	// GStreamer looks at its plugins once, and not again with each new home.
	cmd.Env = append(os.Environ(), "HOME="+dir,
		"GST_REGISTRY="+filepath.Join(p.dir, "gstreamer-registry"))
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stderr, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // cvlc is a shell script
	if p.nobody && os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		return shown{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	// What an endless player wrote is read before it is stopped: what it hurries out at the end is
	// not what it shows.
	pictures, sound := liveSeconds*numberedRate*p.stride, liveSeconds*48000*2
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil || p.endless {
				return shown{}, fmt.Errorf("%s: %v\n%s", line[0], err, stderr.Bytes())
			}
			running = false
		case <-time.After(100 * time.Millisecond): // files have no events
			if p.endless && (c.codec.video == "" || size(video) >= pictures) &&
				(c.codec.audio == "" || size(audio) >= sound) {
				running = false
			}
		}
	}
	s := shown{spare: p.spare}
	if c.codec.video != "" {
		raw, err := os.ReadFile(video)
		if err != nil {
			return shown{}, err
		}
		s.frames = readFrames(raw, p.stride)
	}
	if c.codec.audio != "" {
		raw, err := os.ReadFile(audio)
		if err != nil {
			return shown{}, err
		}
		s.pitch = readPitch(raw)
	}
	if p.endless {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
	return s, nil
}

func size(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return int(info.Size())
}
