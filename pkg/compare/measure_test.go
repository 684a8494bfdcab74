package compare

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMeasureScript runs what measures on files in place of the kernel's, with a wget
// that writes what BusyBox's does.
func TestMeasureScript(t *testing.T) {
	for name, test := range map[string]struct {
		port string
		wget string
		code int
		want string
	}{
		"an answer": {"8080", "echo '  HTTP/1.1 200 OK' >&2; echo body", 0, "1000"},
		"an error":  {"8080", `echo "  HTTP/1.1 500 Oh" >&2; echo "wget: server returned error: HTTP/1.1 500 Oh" >&2; exit 1`, 0, "1000"},
		"a redirection to where nobody is": {
			"8080", `echo "  HTTP/1.1 302 Found" >&2; echo "wget: can't connect to remote host (10.0.0.1): Connection refused" >&2; exit 1`, 0, "1000",
		},
		"an endless answer":   {"8080", "echo '  HTTP/1.1 200 OK' >&2; exec yes", 0, "1000"},
		"another protocol":    {"8080", `echo "wget: error getting response" >&2; exit 1`, 1, "no answer by HTTP on port 8080 within 5 seconds"},
		"a wget that breaks":  {"8080", "kill -SEGV $$", 1, "no answer by HTTP on port 8080 within 5 seconds"},
		"nobody listens":      {"81", "exit 1", 1, "nothing listens on port 81 within 5 seconds; what does listens on 53 8080"},
		"a connection is out": {"443", "exit 1", 1, "nothing listens on port 443 within 5 seconds; what does listens on 53 8080"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range map[string]string{
				"proc/uptime": "100.00 1.00\n",
				"proc/1/stat": "1 (pause) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n",
				// Of the app: it has started 10 seconds ago, which is more than the limit.
				"proc/7/stat": "7 (a) S 9) S 0 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9000 0 0\n",
				"proc/net/tcp": "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:1F90 00000000:0000 0A 00000000\n" +
					"   1: 00000000:01BB 0100007F:C350 01 00000000\n   2: 00000000:0035 00000000:0000 0A 00000000\n",
				"bin/wget": "#!/bin/sh\n" + test.wget + "\n",
			} {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			result := filepath.Join(dir, "result")
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.ReplaceAll(measureScript, "/proc/", dir+"/proc/"), "measure", test.port, "5", result)
			cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"}
			code := 0
			err := cmd.Run()
			var ended *exec.ExitError
			if errors.As(err, &ended) {
				code = ended.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			said, err := os.ReadFile(result)
			if err != nil || code != test.code || strings.TrimSpace(string(said)) != test.want {
				t.Errorf("it ends with %d and says %q, %v, want %d, %q", code, said, err, test.code, test.want)
			}
		})
	}
}
