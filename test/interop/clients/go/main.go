// pkg/sftp as a command: PORT USER KEY KNOWN_HOSTS OPERATION ARGUMENT...
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(port, user, key, known, operation string, args []string) error {
	pem, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return err
	}
	trust, err := knownhosts.New(known)
	if err != nil {
		return err
	}
	conn, err := ssh.Dial("tcp", "127.0.0.1:"+port, &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback:   trust,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn, sftp.UseConcurrentWrites(true))
	if err != nil {
		return err
	}
	defer client.Close()
	switch operation {
	case "put":
		return put(client, args[0], args[1], 0)
	case "reput":
		info, err := client.Stat(args[1])
		if err != nil {
			return err
		}
		return put(client, args[0], args[1], info.Size())
	case "get":
		return get(client, args[0], args[1], 0)
	case "reget":
		info, err := os.Stat(args[1])
		if err != nil {
			return err
		}
		return get(client, args[0], args[1], info.Size())
	case "list":
		entries, err := client.ReadDir(args[0])
		if err != nil {
			return err
		}
		names := []string{}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return json.NewEncoder(os.Stdout).Encode(names)
	case "rename":
		return client.PosixRename(args[0], args[1])
	case "remove":
		return client.Remove(args[0])
	}
	return fmt.Errorf("unknown operation %q", operation)
}

func put(client *sftp.Client, local, remote string, from int64) error {
	source, err := os.Open(local)
	if err != nil {
		return err
	}
	defer source.Close()
	flags := os.O_WRONLY | os.O_CREATE
	if from == 0 {
		flags |= os.O_TRUNC
	}
	target, err := client.OpenFile(remote, flags)
	if err != nil {
		return err
	}
	if _, err := source.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := target.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := target.ReadFrom(source); err != nil {
		return err
	}
	return target.Close()
}

func get(client *sftp.Client, remote, local string, from int64) error {
	source, err := client.Open(remote)
	if err != nil {
		return err
	}
	defer source.Close()
	flags := os.O_WRONLY | os.O_CREATE
	if from == 0 {
		flags |= os.O_TRUNC
	} else {
		flags |= os.O_APPEND
	}
	target, err := os.OpenFile(local, flags, 0o644)
	if err != nil {
		return err
	}
	if _, err := source.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := source.WriteTo(target); err != nil {
		return err
	}
	return target.Close()
}
