package enclosure

import (
	"os"
	"os/exec"
	"testing"
)

func TestProcess(t *testing.T) {
	command := exec.Command("cat")
	command.Args[0] = "pyflow-test-process"
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	state := &State{PID: os.Getpid()}
	if pid, err := state.Process("pyflow-test-process"); err != nil || pid != command.Process.Pid {
		t.Errorf("got process %d, error %v, want %d", pid, err, command.Process.Pid)
	}
	if pid, err := state.Process("cat"); err == nil {
		t.Errorf("process %d is found by the name of its program", pid)
	}
	other := &State{PID: command.Process.Pid}
	if pid, err := other.Process("pyflow-test-process"); err == nil {
		t.Errorf("process %d is found below one that is not its parent", pid)
	}
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	if pid, err := state.Process("pyflow-test-process"); err == nil {
		t.Errorf("process %d is found after its end", pid)
	}
}

func TestParent(t *testing.T) {
	for stat, want := range map[string]int{
		"17 (kube apiserver) S 4 17 17 0": 4,
		"17 (a) b) S 5 17":                5,
		"":                                0,
		"17 (a)":                          0,
	} {
		if got := parent(stat); got != want {
			t.Errorf("%q: parent %d, want %d", stat, got, want)
		}
	}
}
