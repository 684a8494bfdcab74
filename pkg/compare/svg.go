package compare

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pyflow-dev/kubectl-pyflow/pkg/display"
)

// The picture's measures, in its own units: pixels where it is not scaled.
const (
	svgWidth   = 760
	svgMargin  = 24
	svgTitle   = 58
	svgHeading = 30
	svgRow     = 26
	svgBar     = 18
	svgGap     = 14
	// svgName is the most room that names get, svgNumber what numbers need, and
	// svgLetter the width of a letter of that size, about.
	svgName   = 220
	svgNumber = 84
	svgLetter = 7.6
	// svgLetters is the number of letters for which a name has room.
	svgLetters = svgName * 10 / 76
)

// svgStyle is readable on light and on dark, also where the style sheet of a page does
// not reach.
const svgStyle = `
    .ground { fill: #ffffff }
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 }
    .heading { font-weight: 600 }
    .note { font-size: 12px; fill: #59636e }
    .bar { fill: #2f6fbf }
    .track { fill: #eaeef2 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117 }
      text { fill: #e6edf3 }
      .note { fill: #9198a1 }
      .bar { fill: #6cb0f7 }
      .track { fill: #21262d }
    }
  `

// SVG draws sizes and times as a picture that needs nothing beside itself. Title and
// description say all of it to who cannot see it.
func SVG(c *Comparison) []byte {
	var out bytes.Buffer
	all := measures()
	height := svgTitle + svgMargin + len(all)*(svgHeading+len(c.Variants)*svgRow+svgGap)
	name := 0.0
	for _, variant := range c.Variants {
		name = max(name, svgLetter*float64(utf8.RuneCountInString(variant.Name)))
	}
	left := svgMargin + min(int(name), svgName) + 10
	room := svgWidth - svgMargin - svgNumber - left

	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n", svgWidth, height, svgWidth, height)
	title := "Images of " + c.App
	fmt.Fprintf(&out, "  <title id=\"title\">%s</title>\n  <desc id=\"desc\">%s</desc>\n", escape(title), escape(describe(c)))
	fmt.Fprintf(&out, "  <style>%s</style>\n", svgStyle)
	fmt.Fprintf(&out, "  <rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n", svgWidth, height)
	// A reader hears the description in place of these.
	fmt.Fprintf(&out, "  <g aria-hidden=\"true\">\n")
	fmt.Fprintf(&out, "    <text class=\"title\" x=\"%d\" y=\"34\">%s</text>\n", svgMargin, escape(title))
	fmt.Fprintf(&out, "    <text class=\"note\" x=\"%d\" y=\"52\">Shorter is better.</text>\n", svgMargin)
	y := svgTitle
	for _, measure := range all {
		y += svgHeading
		fmt.Fprintf(&out, "    <text class=\"heading\" x=\"%d\" y=\"%d\">%s</text>\n", svgMargin, y-8, escape(measure.title))
		for _, bar := range measure.bars(c.Variants) {
			middle := y + svgBar - 4
			fmt.Fprintf(&out, "    <text x=\"%d\" y=\"%d\">%s</text>\n", svgMargin, middle, escape(display.Truncate(bar.name, svgLetters)))
			fmt.Fprintf(&out, "    <rect class=\"track\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n", left, y, room, svgBar)
			if bar.share > 0 {
				fmt.Fprintf(&out, "    <rect class=\"bar\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"3\"/>\n", left, y, max(2, bar.share*float64(room)), svgBar)
			}
			fmt.Fprintf(&out, "    <text x=\"%d\" y=\"%d\">%s</text>\n", left+room+10, middle, escape(bar.text))
			y += svgRow
		}
		y += svgGap
	}
	out.WriteString("  </g>\n</svg>\n")
	return out.Bytes()
}

// describe says in sentences what the picture shows.
func describe(c *Comparison) string {
	var sentences []string
	for _, measure := range measures() {
		var parts []string
		for _, bar := range measure.bars(c.Variants) {
			text := bar.text
			if text == "-" {
				text = "not measured"
			}
			parts = append(parts, bar.name+" "+text)
		}
		sentences = append(sentences, measure.title+": "+strings.Join(parts, ", ")+".")
	}
	return strings.Join(sentences, " ")
}

func escape(text string) string {
	var out bytes.Buffer
	// A bytes.Buffer takes everything.
	_ = xml.EscapeText(&out, []byte(text))
	return out.String()
}
