// Command verifyproof checks C2SP tlog-proofs with golang.org/x/mod/sumdb/{note,tlog} only.
//
//	verifyproof VKEYS PROOF...
//
// The first line of the file VKEYS is the log's Ed25519 verifier key. The entry of a proof lies beside it, with the
// ending .entry. What each proof says is printed as a line of JSON.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proved struct {
	Origin  string    `json:"origin"`
	Size    int64     `json:"size"`
	Root    tlog.Hash `json:"root"`
	Index   int64     `json:"index"`
	Ignored int       `json:"ignored_signatures"`
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verifyproof VKEYS PROOF...")
		os.Exit(2)
	}
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[2:] {
		result, err := verify(os.Args[1], path)
		if err == nil {
			err = out.Encode(result)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "verifyproof: %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func verify(vkeys, path string) (*proved, error) {
	keys, err := os.ReadFile(vkeys)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(strings.SplitN(string(keys), "\n", 2)[0])
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, checkpoint, found := strings.Cut(string(data), "\n\n")
	if !found {
		return nil, errors.New("there is no empty line before the checkpoint")
	}
	index, hashes, err := readHead(strings.Split(head, "\n"))
	if err != nil {
		return nil, err
	}
	opened, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return nil, errors.New("the checkpoint is not three lines, or of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, err
	}
	entry, err := os.ReadFile(strings.TrimSuffix(path, ".tlog-proof") + ".entry")
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(hashes, size, root, index, tlog.RecordHash(entry)); err != nil {
		return nil, err
	}
	return &proved{lines[0], size, root, index, len(opened.UnverifiedSigs)}, nil
}

// readHead reads the lines before the checkpoint: the format's name, the index, the hashes of the path.
func readHead(lines []string) (int64, tlog.RecordProof, error) {
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, nil, errors.New("it is no tlog-proof")
	}
	name, number, _ := strings.Cut(lines[1], " ")
	index, err := strconv.ParseInt(number, 10, 64)
	if name != "index" || err != nil {
		return 0, nil, errors.New("the second line is no index")
	}
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, nil, err
		}
		hashes = append(hashes, hash)
	}
	return index, hashes, nil
}
