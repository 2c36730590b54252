#!/usr/bin/env python3
"""A volume server in Python: host directories, read-only.

    volume_server.py SOCKET NAME=DIRECTORY ...

Speaks the hand-over of gofer/docs/volumes.md and LisaFS as gofer/docs/protocol.md describes it, and was written from these
two pages. Needs nothing but Python 3.11 on Linux on x86-64, whose memory model the channels rely on.
"""

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import socket
import stat
import struct
import sys
import threading

LARGEST = 1 << 20  # payload
PAGE = mmap.PAGESIZE
CHANNELS = 4
NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9._-]{1,200}")
CHANGING = {4, 8, 11, 13, 14, 15, 16, 18, 22, 23, 26, 28, 29, 33}
CLIENT, SERVER, DOWN = 0, 1, 2

libc = ctypes.CDLL(None, use_errno=True)
SYS_FUTEX, FUTEX_WAIT, FUTEX_WAKE = 202, 0, 1


class Files:
    """The control and open FDs of one connection."""

    def __init__(self, root):
        self.lock = threading.Lock()
        self.next = 1
        self.control = {}
        self.open = {}
        self.root = root

    def add(self, table, value):
        with self.lock:
            number = self.next
            self.next += 1
            table[number] = value
            return number

    def get(self, table, number):
        with self.lock:
            if number in table:
                return table[number]
            known = number in self.control or number in self.open
        raise OSError(errno.EINVAL if known else errno.EBADF, "FD")

    def drop(self, number):
        with self.lock:
            self.control.pop(number, None)
            self.open.pop(number, None)


class Handle:
    """A host descriptor that is closed when nobody uses it any more. What is listed of a directory is kept."""

    def __init__(self, fd):
        self.fd = fd
        self.lock = threading.Lock()
        self.names = None

    def __del__(self):
        os.close(self.fd)


def look(fd):
    """The attributes of an open file as LisaFS has them."""
    s = os.fstat(fd)
    stamp = lambda nanoseconds: struct.pack("=qI4x", *divmod(nanoseconds, 1_000_000_000))
    return (
        struct.pack("=IIQIIIH2xQQQQ", 0x7FF, s.st_blksize, 0, s.st_nlink, s.st_uid, s.st_gid, s.st_mode, s.st_ino, s.st_size, s.st_blocks, 0)
        + stamp(s.st_atime_ns) + stamp(0) + stamp(s.st_ctime_ns) + stamp(s.st_mtime_ns)
        + struct.pack("=IIII", os.major(s.st_rdev), os.minor(s.st_rdev), os.major(s.st_dev), os.minor(s.st_dev))
    )


def kind(handle):
    return stat.S_IFMT(os.fstat(handle.fd).st_mode)


def step(directory, name):
    """The file `name` in `directory`, links not followed; None if there is none."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, "name")
    try:
        return Handle(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory.fd))
    except FileNotFoundError:
        return None


def strings(data):
    """The Strings at the beginning of `data`."""
    (count,), at, found = struct.unpack_from("=H", data), 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("=H", data, at)
        at += 2
        if at + length > len(data):
            raise struct.error("a string is cut off")
        found.append(bytes(data[at : at + length]))
        at += length
    return found


class Connection:
    """One connection: its files, its socket, its channels."""

    def __init__(self, main, root):
        self.main = main
        self.files = Files(root)
        self.lock = threading.Lock()
        self.memory = None
        self.channels = []
        self.ended = False
        self.handlers = {
            1: self.mount, 2: self.channel, 3: self.stat, 5: self.walk, 6: self.walk_stat, 7: self.open, 9: self.close, 10: self.sync,
            12: self.read, 17: self.stat_fs, 19: self.read_link, 24: self.list, 21: self.connect,
        }

    def answer(self, message, payload):
        """The answer to a request: its message, its payload, and descriptors."""
        try:
            if message in CHANGING:
                raise OSError(errno.EROFS, "read-only")
            if message not in self.handlers:
                raise OSError(errno.EOPNOTSUPP, "message")
            result = self.handlers[message](payload)
            body, fds = result if isinstance(result, tuple) else (result, [])
            return message, body, fds
        except OSError as error:
            code = error.errno or errno.EIO
        except struct.error:
            code = errno.EIO
        return 0, struct.pack("=I", code), []

    # Messages

    def inode(self, handle):
        attributes = look(handle.fd)
        return struct.pack("=Q", self.files.add(self.files.control, handle)) + attributes

    def mount(self, _):
        messages = sorted(set(self.handlers) | CHANGING)
        return self.inode(self.files.root) + struct.pack(f"=IH{len(messages)}H", LARGEST, len(messages), *messages)

    def channel(self, _):
        length = (LARGEST + 20 + PAGE - 1) // PAGE * PAGE
        with self.lock:
            if self.ended or len(self.channels) >= CHANNELS:
                raise OSError(errno.ENOMEM, "channels")
            if self.memory is None:
                self.memory = os.memfd_create("volume", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
            offset = length * len(self.channels)
            os.ftruncate(self.memory, offset + length)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.setblocking(False)
            window = mmap.mmap(self.memory, length, offset=offset)
            channel = Channel(self, window, ours)
            self.channels.append(channel)
            memory = os.dup(self.memory)
        threading.Thread(target=channel.serve, daemon=True).start()
        return struct.pack("=qQ", offset, length), [memory, theirs.detach()]

    def any(self, number):
        try:
            return self.files.get(self.files.control, number)
        except OSError:
            return self.files.get(self.files.open, number)

    def stat(self, payload):
        return look(self.any(struct.unpack_from("=Q", payload)[0]).fd)

    def walk(self, payload):
        (number,), names = struct.unpack_from("=Q", payload), strings(payload[8:])
        at, status, found = self.files.get(self.files.control, number), 0, []
        if kind(at) != stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, "walk")
        for name in names:
            if kind(at) == stat.S_IFLNK:
                status = 2
                break
            if kind(at) != stat.S_IFDIR:
                raise OSError(errno.ENOTDIR, "walk")
            at = step(at, name)
            if at is None:
                status = 1
                break
            found.append(at)
        return struct.pack("=BH", status, len(found)) + b"".join(map(self.inode, found))

    def walk_stat(self, payload):
        (number,), names = struct.unpack_from("=Q", payload), strings(payload[8:])
        at, found = self.files.get(self.files.control, number), []
        if names and names[0] == b"":
            found.append(look(at.fd))
            names = names[1:]
        if names and kind(at) != stat.S_IFDIR:
            raise OSError(errno.ENOTDIR, "walk")
        for name in names:
            if kind(at) == stat.S_IFLNK:
                break
            if kind(at) != stat.S_IFDIR:
                raise OSError(errno.ENOTDIR, "walk")
            at = step(at, name)
            if at is None:
                break
            found.append(look(at.fd))
        return struct.pack("=H", len(found)) + b"".join(found)

    def open(self, payload):
        number, flags = struct.unpack_from("=QI4x", payload)
        if flags & (os.O_ACCMODE | os.O_TRUNC):
            raise OSError(errno.EROFS, "open")
        control = self.files.get(self.files.control, number)
        if kind(control) not in (stat.S_IFREG, stat.S_IFDIR):
            raise OSError(errno.EINVAL if kind(control) == stat.S_IFLNK else errno.EPERM, "open")
        # Through procfs it is the same file, whatever its name is by now.
        handle = Handle(os.open(f"/proc/self/fd/{control.fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        donated = [os.dup(handle.fd)] if kind(control) == stat.S_IFREG else []
        return struct.pack("=Q", self.files.add(self.files.open, handle)), donated

    def close(self, payload):
        (count,) = struct.unpack_from("=H", payload)
        for number in struct.unpack_from(f"={count}Q", payload, 2):
            self.files.drop(number)
        return b""

    def sync(self, _):
        return b""

    def read(self, payload):
        offset, number, count = struct.unpack_from("=QQI4x", payload)
        if count + 8 > LARGEST:
            raise OSError(errno.ENOBUFS, "read")
        data = os.pread(self.files.get(self.files.open, number).fd, count, offset)
        return struct.pack("=Q", len(data)) + data

    def stat_fs(self, payload):
        s = os.fstatvfs(self.files.get(self.files.control, struct.unpack_from("=Q", payload)[0]).fd)
        return struct.pack("=QqQQQQQQ", 0, s.f_bsize, s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_namemax)

    def read_link(self, payload):
        handle = self.files.get(self.files.control, struct.unpack_from("=Q", payload)[0])
        if kind(handle) != stat.S_IFLNK:
            raise OSError(errno.EINVAL, "readlink")
        target = os.readlink(b"", dir_fd=handle.fd)
        return struct.pack("=H", len(target)) + target

    def list(self, payload):
        number, count = struct.unpack_from("=Qi4x", payload)
        handle = self.files.get(self.files.open, number)
        with handle.lock:
            if handle.names is None or count < 0:
                handle.names = [os.fsencode(name) for name in os.listdir(handle.fd)]
                handle.offset = 0
            entries, room, size = [], abs(count), 2
            while handle.offset < len(handle.names) and len(entries) < 65_535:
                name = handle.names[handle.offset]
                room -= (19 + len(name) + 1 + 7) // 8 * 8
                size += 27 + len(name)
                if room < 0 or size > LARGEST:
                    break
                handle.offset += 1
                try:
                    s = os.stat(name, dir_fd=handle.fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                head = struct.pack("=QIIQBH", s.st_ino, os.minor(s.st_dev), os.major(s.st_dev), handle.offset, stat.S_IFMT(s.st_mode) >> 12, len(name))
                entries.append(head + name)
        return struct.pack("=H", len(entries)) + b"".join(entries)

    def connect(self, _):
        raise OSError(errno.ECONNREFUSED, "connect")

    # The socket

    def serve(self):
        """Answers until the client has gone."""
        try:
            while (header := self.receive(8)) is not None:
                length, message = struct.unpack("=IH2x", header)
                if length > LARGEST or (payload := self.receive(length)) is None:
                    break
                message, body, fds = self.answer(message, payload)
                data = struct.pack("=IH2x", len(body), message) + body
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                sent = self.main.sendmsg([data], rights)
                for fd in fds:
                    os.close(fd)
                self.main.sendall(data[sent:])
        except OSError as error:
            print(f"a connection has failed: {error}", file=sys.stderr)
        with self.lock:
            self.ended = True
        for channel in self.channels:
            channel.shut_down()
        self.main.close()
        if self.memory is not None:
            os.close(self.memory)

    def receive(self, length):
        data = b""
        while len(data) < length:
            part = self.main.recv(length - len(data))
            if not part:
                return None
            data += part
        return data


class Channel:
    """One channel: a window, and the socket for descriptors."""

    def __init__(self, connection, window, fds):
        self.connection, self.window, self.fds = connection, window, fds
        self.turn = ctypes.c_uint32.from_buffer(window, 0)
        self.length = ctypes.c_uint32.from_buffer(window, 4)

    def futex(self, operation, value):
        libc.syscall(SYS_FUTEX, ctypes.byref(self.turn), operation, ctypes.c_uint32(value), None, None, 0)

    def wait(self):
        """The next datagram, or None at the end."""
        while (turn := self.turn.value) != SERVER:
            if turn != CLIENT or self.connection.ended:
                return None
            self.futex(FUTEX_WAIT, CLIENT)
        length = self.length.value
        return self.window[16 : 16 + length] if length <= len(self.window) - 16 else None

    def send(self, datagram):
        self.window[16 : 16 + len(datagram)] = datagram
        self.length.value = len(datagram)
        # A channel that is shut down at this very moment comes back to life; the end of the socket ends it then.
        if self.turn.value == SERVER:
            self.turn.value = CLIENT
            self.futex(FUTEX_WAKE, 1)

    def serve(self):
        if self.wait() != b"{}\n":
            return self.shut_down()
        self.send(b"{}\n")
        while (datagram := self.wait()) and len(datagram) >= 4:
            (message,) = struct.unpack_from("=H", datagram)
            message, body, fds = self.connection.answer(message, datagram[4:])
            sent = 0
            try:
                for fd in fds:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
                    self.fds.sendmsg([], rights, socket.MSG_DONTWAIT)
                    sent += 1
            except OSError:
                pass
            for fd in fds:
                os.close(fd)
            self.send(struct.pack("=HBx", message, sent) + body)
        self.shut_down()

    def shut_down(self):
        self.turn.value = DOWN
        self.futex(FUTEX_WAKE, 2**31 - 1)


def take(control, volumes):
    """One control socket, from the request to the end of its connection."""
    fd = None
    try:
        control.settimeout(60)
        line, fds, _, _ = socket.recv_fds(control, 65_536, 1)
        while line and not line.endswith(b"\n") and len(line) < 65_536:
            part = control.recv(65_536)
            if not part:
                return
            line += part
        if not line:
            return
        fd = fds[0] if fds else None
        try:
            request = json.loads(line)
            if request["version"] != 1:
                raise ValueError("this server speaks version 1 of the hand-over")
            if not NAME.fullmatch(request["volume"]) or request["volume"] not in volumes:
                raise ValueError(f"there is no volume {request['volume']!r}")
            if request.get("directfs"):
                raise ValueError("this server has no descriptor to give to the sandbox; switch directfs off for the mount")
            if fd is None:
                raise ValueError("no connection came with the request")
            root = Handle(os.open(volumes[request["volume"]], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = " ".join(str(error).split())
            control.sendall(json.dumps({"version": 1, "error": reason}).encode() + b"\n")
            return
        main = socket.socket(fileno=fd)
        fd = None
        main.setblocking(True)
        control.sendall(b'{"version": 1, "ok": true}\n')
        control.settimeout(None)
        connection = Connection(main, root)
        threading.Thread(target=watch, args=(control, main), daemon=True).start()
        connection.serve()
        control.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        print(f"a control socket has failed: {error}", file=sys.stderr)
    finally:
        if fd is not None:
            os.close(fd)
        control.close()


def watch(control, main):
    """Ends the connection when the control socket does."""
    try:
        control.recv(1)
        main.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # It has ended already.


def main(arguments):
    if len(arguments) < 2 or any("=" not in argument for argument in arguments[1:]):
        sys.exit(__doc__)
    volumes = dict(argument.split("=", 1) for argument in arguments[1:])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.umask(0o077)
    listener.bind(arguments[0])
    listener.listen()
    while True:
        control, _ = listener.accept()
        threading.Thread(target=take, args=(control, volumes), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
