package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const typeCosignature = 0x04

// witness is a note.Verifier of Ed25519 cosignatures, written from C2SP tlog-cosignature: the line holds a time in
// seconds and the signature of the text below two lines that say what it is and when.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newWitness(vkey string) (*witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("a verifier key is a name, a key id and a key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	if len(key) != 1+ed25519.PublicKeySize || key[0] != typeCosignature {
		return nil, errors.New("the key is not one of Ed25519 cosignatures")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", sum[:4]) != parts[1] {
		return nil, errors.New("the key id is not that of the key")
	}
	return &witness{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func (w *witness) Name() string    { return w.name }
func (w *witness) KeyHash() uint32 { return w.hash }

func (w *witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(signature))
	return ed25519.Verify(w.key, append([]byte(head), text...), signature[8:])
}

// cosignatures are the times that the witnesses of an opened note state, by their names.
func cosignatures(opened *note.Note, log string) (map[string]uint64, error) {
	times := map[string]uint64{}
	for _, line := range opened.Sigs {
		if line.Name == log {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(line.Base64)
		if err != nil {
			return nil, err
		}
		times[line.Name] = binary.BigEndian.Uint64(data[4:])
	}
	return times, nil
}
