package event

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocumented checks that docs/events.md names every type, field and phase, and that
// its examples are events.
func TestDocumented(t *testing.T) {
	content, err := os.ReadFile("../../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	for _, kind := range []any{
		Event{}, Transfer{}, Instruction{}, Result{}, PhaseTime{}, Tests{}, Failure{},
	} {
		structure := reflect.TypeOf(kind)
		for i := range structure.NumField() {
			name, _, _ := strings.Cut(structure.Field(i).Tag.Get("json"), ",")
			if name == "-" {
				continue
			}
			if !strings.Contains(page, "`"+name+"`") && !strings.Contains(page, "`"+name+"[]`") {
				t.Errorf("field %s of %s is not documented", name, structure.Name())
			}
		}
	}
	for _, phase := range Phases() {
		if !strings.Contains(page, "`"+string(phase)+"`") {
			t.Errorf("phase %s is not documented", phase)
		}
	}
	for _, kind := range []Type{
		Planned, PhaseStarted, PhaseUpdated, PhaseEnded, InstructionStarted, Log, Waiting, Notice, RunCreated, Finished,
	} {
		if !strings.Contains(page, "| `"+string(kind)+"` |") {
			t.Errorf("type %s is not documented", kind)
		}
	}
	examples := 0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		examples++
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		var e Event
		if err := decoder.Decode(&e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		again, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimSpace(line), string(again)); diff != "" {
			t.Errorf("(-documented +written):\n%s", diff)
		}
	}
	if examples == 0 {
		t.Error("there are no examples")
	}
}
