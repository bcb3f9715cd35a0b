// Command verifylog checks a log that was written by other software, with golang.org/x/mod/sumdb/{note,tlog} only.
//
//	verifylog DIR VKEY [WITNESS-VKEY...]
//
// DIR holds the log as it is served (C2SP tlog-tiles): checkpoint, tile/<L>/<N>[.p/<W>], tile/entries/<N>[.p/<W>].
// VKEY is the log's Ed25519 verifier key, WITNESS-VKEY that of a witness (type 0x04). It checks the checkpoint's Ed25519
// line, and the cosignature of each witness that is named; that every tile is there and is what
// the entries give; that the entries give the root; and, reading tiles the way a client does, the inclusion of entries
// and the consistency with smaller trees. The proofs are printed as JSON to be compared.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type report struct {
	Origin   string             `json:"origin"`
	Size     int64              `json:"size"`
	Root     tlog.Hash          `json:"root"`
	Tiles    int                `json:"tiles"`
	Ignored  int                `json:"ignored_signatures"`
	Cosigned map[string]uint64  `json:"cosigned"`
	Proofs   map[int64][]string `json:"inclusion"`
	Trees    map[int64][]string `json:"consistency"`
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verifylog DIR VKEY [WITNESS-VKEY...]")
		os.Exit(2)
	}
	result, err := verify(os.Args[1], os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifylog:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
}

func verify(dir, vkey string, witnesses []string) (*report, error) {
	result, err := openCheckpoint(filepath.Join(dir, "checkpoint"), vkey, witnesses)
	if err != nil {
		return nil, err
	}
	tree := tlog.Tree{N: result.Size, Hash: result.Root}
	entries, err := readEntries(dir, tree.N)
	if err != nil {
		return nil, err
	}
	if result.Tiles, err = rebuild(dir, tree, entries); err != nil {
		return nil, err
	}
	reader := tlog.TileHashReader(tree, &tileDir{dir})
	if result.Proofs, err = inclusion(tree, entries, reader); err != nil {
		return nil, err
	}
	result.Trees, err = consistency(tree, reader)
	return result, err
}

// openCheckpoint verifies the log's Ed25519 line and those of the witnesses, and reads the three lines of the text.
func openCheckpoint(path, vkey string, witnesses []string) (*report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	verifiers := []note.Verifier{verifier}
	for _, vkey := range witnesses {
		witness, err := newWitness(vkey)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, witness)
	}
	opened, err := note.Open(data, note.VerifierList(verifiers...))
	if err != nil {
		return nil, err
	}
	cosigned, err := cosignatures(opened, verifier.Name())
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, errors.New("the checkpoint is not three lines")
	}
	if lines[0] != verifier.Name() {
		return nil, errors.New("the origin is not the key's name")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return nil, err
	}
	return &report{Origin: lines[0], Size: size, Root: root, Ignored: len(opened.UnverifiedSigs), Cosigned: cosigned}, nil
}

// readEntries reads all entry bundles: uint16 length-prefixed entries.
func readEntries(dir string, size int64) ([][]byte, error) {
	var entries [][]byte
	for n := int64(0); n<<height < size; n++ {
		width := size - n<<height
		if width > 1<<height {
			width = 1 << height
		}
		data, err := readTile(dir, tlog.Tile{H: height, L: -1, N: n, W: int(width)})
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
				return nil, fmt.Errorf("bundle %d ends inside entry %d", n, i)
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			entries = append(entries, data[2:end])
			data = data[end:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("bundle %d has more than %d entries", n, width)
		}
	}
	return entries, nil
}

// rebuild computes the tree from the entries alone and compares the root and every tile with what is served.
func rebuild(dir string, tree tlog.Tree, entries [][]byte) (int, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for i, entry := range entries {
		hashes, err := tlog.StoredHashes(int64(i), entry, reader)
		if err != nil {
			return 0, err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return 0, err
	}
	if root != tree.Hash {
		return 0, errors.New("the entries do not give the root")
	}
	tiles := servedTiles(tree.N)
	for _, tile := range tiles {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return 0, err
		}
		got, err := os.ReadFile(filepath.Join(dir, servedPath(tile)))
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(got, want) {
			return 0, fmt.Errorf("%s is not what the entries give", servedPath(tile))
		}
	}
	return len(tiles), nil
}

// servedTiles lists the full tiles and, per level, the one partial tile of a tree of that size. (NewTiles also lists
// the partial tiles of all smaller trees.)
func servedTiles(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for _, tile := range tlog.NewTiles(height, 0, size) {
		last := len(tiles) - 1
		if last >= 0 && tiles[last].L == tile.L && tiles[last].N == tile.N {
			tiles[last] = tile
		} else {
			tiles = append(tiles, tile)
		}
	}
	return tiles
}

// inclusion proves every entry of a small log and 1,024 of a large one (rebuild has seen them all).
func inclusion(tree tlog.Tree, entries [][]byte, reader tlog.HashReader) (map[int64][]string, error) {
	proofs := make(map[int64][]string)
	step := tree.N/1024 + 1
	for i, entry := range entries {
		n := int64(i)
		if n%step != 0 && n != tree.N-1 {
			continue
		}
		proof, err := tlog.ProveRecord(tree.N, n, reader)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, n, tlog.RecordHash(entry)); err != nil {
			return nil, fmt.Errorf("entry %d: %v", n, err)
		}
		proofs[n] = texts(proof)
	}
	return proofs, nil
}

func consistency(tree tlog.Tree, reader tlog.HashReader) (map[int64][]string, error) {
	proofs := make(map[int64][]string)
	step := tree.N/64 + 1
	for n := int64(1); n <= tree.N; n += step {
		old, err := tlog.TreeHash(n, reader)
		if err != nil {
			return nil, err
		}
		proof, err := tlog.ProveTree(tree.N, n, reader)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, n, old); err != nil {
			return nil, fmt.Errorf("size %d: %v", n, err)
		}
		proofs[n] = texts(proof)
	}
	return proofs, nil
}

func texts(hashes []tlog.Hash) []string {
	list := make([]string, len(hashes))
	for i, hash := range hashes {
		list[i] = hash.String()
	}
	return list
}

// tileDir reads tiles as they are served; TileHashReader authenticates them against the root before it uses them.
type tileDir struct{ dir string }

func (d *tileDir) Height() int { return height }

func (d *tileDir) SaveTiles([]tlog.Tile, [][]byte) {}

func (d *tileDir) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		content, err := readTile(d.dir, tile)
		if err != nil {
			return nil, err
		}
		data[i] = content
	}
	return data, nil
}

func readTile(dir string, tile tlog.Tile) ([]byte, error) {
	return os.ReadFile(filepath.Join(dir, servedPath(tile)))
}

// servedPath is the tile's path in C2SP tlog-tiles, which leaves out the height and calls data "entries".
func servedPath(tile tlog.Tile) string {
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(path, "tile/data/", "tile/entries/", 1)
}
