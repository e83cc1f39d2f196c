"""What the kernel does for processes that parse what strangers send, and for those beside them.

An allow list: what a Python program with asyncio, gRPC and libtorrent asks of the kernel. What stands in neither list
is answered as by a kernel that does not have it, which libraries are prepared for; so a newer C library that tries a
new call first falls back to the old one. What is forbidden by name is answered with EPERM.

No path names and no contents are looked at, since a filter sees numbers alone. Files are the matter of users and modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

CONFINED = frozenset({"discovery", "nat", "node", "metrics"})
"""Not wireguard, which executes wireguard-go, and that must be able to do what it does."""


class Compare(IntEnum):
    """How an argument is compared (enum scmp_compare of seccomp.h)."""

    DIFFERENT = 1
    EQUAL = 4
    MASKED = 7


@dataclass(frozen=True, slots=True)
class Condition:
    """On one argument: `value` compared with it, or with its bits under `mask`."""

    argument: int
    compare: Compare
    value: int
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Allows or forbids a call where the condition holds; None is always."""

    call: str
    allows: bool
    condition: Condition | None = None


FILES = (
    "access chmod close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchmod"
    " fchmodat fchmodat2 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 getcwd"
    " getdents getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lseek _llseek lstat lstat64"
    " mkdir mkdirat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readlink"
    " readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 stat stat64 statfs statfs64 statx truncate"
    " truncate64 umask unlink unlinkat utimensat utimensat_time64 write writev"
)
WAITING = (
    "clock_nanosleep clock_nanosleep_time64 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait"
    " eventfd eventfd2 nanosleep pause pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 _newselect select"
    " signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64"
)
NETWORK = (
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64"
    " recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair"
)
MEMORY = "brk madvise membarrier mincore mlock mmap mmap2 mprotect mremap msync munlock munmap"
SELF = (
    "arch_prctl cacheflush capget clock_getres clock_getres_time64 clock_gettime clock_gettime64 exit exit_group"
    " futex futex_time64 futex_waitv get_robust_list get_thread_area getcpu getegid getegid32 geteuid geteuid32 getgid"
    " getgid32 getgroups getgroups32 getitimer getpgid getpgrp getpid getppid getpriority getrandom getresgid"
    " getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid gettimeofday getuid getuid32 restart_syscall"
    " riscv_flush_icache riscv_hwprobe rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend"
    " rt_sigtimedwait rt_sigtimedwait_time64 sched_get_priority_max sched_get_priority_min sched_getaffinity"
    " sched_getparam sched_getscheduler sched_yield set_robust_list set_thread_area set_tid_address set_tls setitimer"
    " sigaction sigaltstack sigprocmask sigreturn sysinfo time times ugetrlimit uname wait4 waitid waitpid"
)
FORBIDDEN = (
    # another program, or a look into another process
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp"
    " pidfd_open pidfd_getfd pidfd_send_signal kill tkill rt_sigqueueinfo rt_tgsigqueueinfo"
    # another view of the system
    " chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree pivot_root setns umount umount2"
    " unshare name_to_handle_at open_by_handle_at mknod mknodat fanotify_init quotactl quotactl_fd swapoff swapon acct"
    # the kernel itself, and the parts of it that have been broken most often
    " add_key bpf delete_module finit_module init_module io_uring_enter io_uring_register io_uring_setup keyctl"
    " kexec_file_load kexec_load lookup_dcookie perf_event_open request_key userfaultfd syslog reboot vhangup"
    " iopl ioperm modify_ldt personality memfd_secret migrate_pages move_pages mbind set_mempolicy"
    # what the host is, and who we are
    " adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime sethostname"
    " setdomainname capset seccomp setfsgid setfsuid setgid setgroups setregid setresgid setresuid setreuid setuid"
)

OWN_PID = 0x7E5A_F17E  # stands for the number of the process, which is not known before the fork

# linux/sched.h
CLONE_THREAD = 0x0001_0000
NAMESPACES = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16  # linux/socket.h
FAMILIES = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)

# fcntl(2): not F_SETOWN and F_SETSIG, with which the kernel sends signals to others
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 36, 37, 38, 1030, 1032, 1033, 1034)
# linux/sockios.h, 16 numbers each: questions about interfaces; to change one takes CAP_NET_ADMIN. Not SIOCSPGRP.
INTERFACE_IOCTLS = (0x8910, 0x8920, 0x8930)
# linux/prctl.h: names of threads and memory, and questions
PRCTLS = (3, 15, 16, 21, 39, 0x53564D41)


def rules(machine: str, ioctls: tuple[int, ...]) -> tuple[Rule, ...]:
    """Returns all rules. `ioctls` are the numbers on this machine of those that files and sockets need."""
    flags = 1 if machine.startswith("s390") else 0  # clone(2): there the stack is the first argument
    return (
        *(Rule(call, True) for group in (FILES, WAITING, NETWORK, MEMORY, SELF) for call in group.split()),
        *(Rule(call, False) for call in FORBIDDEN.split()),
        Rule("clone", True, Condition(flags, Compare.MASKED, CLONE_THREAD, CLONE_THREAD | sum(NAMESPACES))),
        Rule("clone", False, Condition(flags, Compare.MASKED, 0, CLONE_THREAD)),
        *(Rule("clone", False, Condition(flags, Compare.MASKED, flag, flag)) for flag in NAMESPACES),
        Rule("tgkill", True, Condition(0, Compare.EQUAL, OWN_PID)),
        Rule("tgkill", False, Condition(0, Compare.DIFFERENT, OWN_PID)),
        Rule("prlimit64", True, Condition(0, Compare.EQUAL, 0)),
        Rule("prlimit64", False, Condition(0, Compare.DIFFERENT, 0)),
        *(Rule("socket", True, Condition(0, Compare.EQUAL, family)) for family in FAMILIES),
        *(
            Rule(call, True, Condition(1, Compare.EQUAL, command))
            for call in ("fcntl", "fcntl64")
            for command in FCNTL_COMMANDS
        ),
        *(Rule("ioctl", True, Condition(1, Compare.MASKED, first, 0xFFFF_FFF0)) for first in INTERFACE_IOCTLS),
        *(Rule("ioctl", True, Condition(1, Compare.EQUAL, number)) for number in ioctls),
        *(Rule("prctl", True, Condition(0, Compare.EQUAL, option)) for option in PRCTLS),
    )
