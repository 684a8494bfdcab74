package lint

import "github.com/pyflow-dev/kubectl-pyflow/pkg/dockerfile"

// Extra are rules of another package, such as those of the program that builds the image.
type Extra struct {
	// Rules are described as those of this package.
	Rules []Rule
	// Check returns the findings for a target, with their rule, severity, message, fix,
	// Line and EndLine. It may be nil.
	Check func(file *dockerfile.Dockerfile, target string) ([]Finding, error)
}

// findings returns what the extra rules find. Only notes can be ignored by a comment.
func (e Extra) findings(file *dockerfile.Dockerfile, target string, in *inputs) (notes, others []Finding, err error) {
	if e.Check == nil {
		return nil, nil, nil
	}
	found, err := e.Check(file, target)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range found {
		placed := finding(in.sources.lines(file.Path, one.Line, one.EndLine), one.Message, one.Fix)
		severity := one.Severity
		placed = e.find(one.Rule).stamp(placed)[0]
		placed.Severity = severity
		if severity == Note {
			notes = append(notes, placed)
		} else {
			others = append(others, placed)
		}
	}
	return notes, others, nil
}

// find returns the rule of an ID, of this package or of the extra ones.
func (e Extra) find(id string) Rule {
	for _, rule := range e.Rules {
		if rule.ID == id {
			return rule
		}
	}
	return findRule(id)
}
