package compare

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// measure is one of the numbers that are charted. Of all less is better.
type measure struct {
	title string
	// value is nil where it was not measured.
	value func(Variant) *float64
	text  func(float64) string
}

func measures() []measure {
	bytes := func(n float64) string { return display.Bytes(int64(n)) }
	seconds := func(n float64) string { return fmt.Sprintf("%.2f s", n) }
	built := func(value func(Variant) int64) func(Variant) *float64 {
		return func(v Variant) *float64 {
			if value(v) == 0 {
				return nil
			}
			return new(float64(value(v)))
		}
	}
	return []measure{
		{"Size, compressed", built(func(v Variant) int64 { return v.CompressedBytes }), bytes},
		{"Size on disk", built(func(v Variant) int64 { return v.UnpackedBytes }), bytes},
		{"Build after a change of code", func(v Variant) *float64 { return v.ChangeSeconds }, seconds},
		{"Start to the first answer", func(v Variant) *float64 { return v.StartSeconds }, seconds},
	}
}

// bar is a variant's in a chart.
type bar struct {
	name, text string
	// share of the longest bar, 0 to 1.
	share float64
}

func (m measure) bars(variants []Variant) []bar {
	longest := 0.0
	for _, variant := range variants {
		if value := m.value(variant); value != nil {
			longest = max(longest, *value)
		}
	}
	bars := make([]bar, len(variants))
	for i, variant := range variants {
		bars[i] = bar{name: variant.Name, text: "-"}
		if value := m.value(variant); value != nil {
			bars[i].text = m.text(*value)
			if longest > 0 {
				bars[i].share = *value / longest
			}
		}
	}
	return bars
}

// eighths are the blocks that a bar ends with.
const eighths = "▏▎▍▌▋▊▉█"

// Bars charts sizes and times as lines of at most width columns, in Unicode's
// blocks or in plain ASCII. It is empty without variants.
func Bars(variants []Variant, width int, unicode bool) string {
	var text strings.Builder
	for _, measure := range measures() {
		bars := measure.bars(variants)
		names, numbers := 0, 0
		for _, bar := range bars {
			names = max(names, utf8.RuneCountInString(bar.name))
			numbers = max(numbers, utf8.RuneCountInString(bar.text))
		}
		room := max(1, width-names-numbers-4)
		for i, bar := range bars {
			if i == 0 {
				fmt.Fprintf(&text, "\n%s\n", measure.title)
			}
			drawn := draw(bar.share, room, unicode)
			if drawn != "" {
				drawn += " "
			}
			fmt.Fprintf(&text, "  %-*s %s%s\n", names, bar.name, drawn, bar.text)
		}
	}
	return strings.TrimPrefix(text.String(), "\n")
}

// draw is a bar of a share of width columns; one that is not nothing shows.
func draw(share float64, width int, unicode bool) string {
	if share <= 0 {
		return ""
	}
	if !unicode {
		return strings.Repeat("#", max(1, int(math.Round(share*float64(width)))))
	}
	parts := max(1, int(math.Round(share*float64(width)*8)))
	whole := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		whole += string([]rune(eighths)[rest-1])
	}
	return whole
}
