// Package dockerfile is the model of a Dockerfile: its stages with what they inherit from
// each other, its instructions with their lines, and the values of its variables. It reads
// with BuildKit's parser and expands with BuildKit's shell.Lex. It looks nothing up,
// neither images nor the files that are copied.
//
// Everything in the program that reads a Dockerfile reads this model. A table of what a
// build engine does with each instruction belongs here as well, keyed by
// Instruction.Name.
package dockerfile
