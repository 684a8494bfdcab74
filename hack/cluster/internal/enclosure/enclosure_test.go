package enclosure

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/pyflow-dev/kubectl-pyflow/hack/cluster/internal/host"
)

func TestParseStartTime(t *testing.T) {
	const rest = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21"
	for stat, want := range map[string]string{
		"42 (node) S" + rest:            "4711",
		"42 (a ) S (odd name) S" + rest: "4711",
		"42 (node) Z" + rest:            "", // has ended
		"42 (node) S 1 2":               "",
	} {
		got, err := parseStartTime(stat)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", stat, got, err)
		}
	}
}

func TestAliveTellsProcessesApart(t *testing.T) {
	start, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		state *State
		want  bool
	}{
		"this process":             {&State{PID: os.Getpid(), StartTime: start}, true},
		"its number, another time": {&State{PID: os.Getpid(), StartTime: "1"}, false},
		"not started":              {&State{}, false},
		"no state":                 {nil, false},
	} {
		if got := test.state.Alive(); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestStateOutlivesTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if state, err := Load(path); state != nil || err != nil {
		t.Fatalf("without a file: %v, %v", state, err)
	}
	subnets, err := host.ChooseSubnets([]netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	saved := State{Number: 1, PID: 7, StartTime: "8", Key: "k", Subnets: subnets, IPForward: "0", ForwardRules: true}
	if err := saved.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if *loaded != saved {
		t.Errorf("got %+v, want %+v", *loaded, saved)
	}
	// A state that was cut off must not keep `down` from cleaning up.
	if err := os.WriteFile(path, []byte(`{"pid": 7, "sta`), 0o600); err != nil {
		t.Fatal(err)
	}
	if state, err := Load(path); err != nil || state == nil || state.PID != 0 {
		t.Errorf("half a state: %+v, %v", state, err)
	}
}
