package buildview

import (
	"encoding/json"
	"fmt"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/build/event"
)

// jsonLines writes every event as a line of JSON.
type jsonLines struct {
	*results
	encoder *json.Encoder
}

func newJSON(results *results) *jsonLines {
	encoder := json.NewEncoder(results.out)
	// The output is not HTML: < and > of a log stay readable.
	encoder.SetEscapeHTML(false)
	return &jsonLines{results, encoder}
}

func (v *jsonLines) Show(e event.Event) {
	if v.err != nil {
		return
	}
	if err := v.encoder.Encode(e); err != nil {
		v.err = fmt.Errorf("write an event: %w", err)
	}
}
