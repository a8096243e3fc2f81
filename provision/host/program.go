package host

import (
	"fmt"
	"os"
	"syscall"
)

// Program names the program that runs, by the file it was started from: one that
// was replaced since, by whatever means, has another name. "" where the system
// does not tell.
func Program() string {
	const self = "/proc/self/exe" // the file itself, also when its path leads to another one by now
	info, err := os.Stat(self)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	// The time of change is the system's own: nobody sets it back.
	return fmt.Sprintf("%d:%d %d %d.%d %d.%d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
}
