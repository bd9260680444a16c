/**
 * The system calls a sandbox may use: what the default profiles of Docker and of containers-common allow a container
 * that has no capabilities, less what a function has no use for (ptrace, process_vm_*, pidfd_getfd, io_uring, keyrings,
 * user namespaces, 32-bit calls, socket families other than the four below).
 *
 * A call on no list answers ENOSYS, not EPERM: C libraries then fall back to an older call, as on an older kernel
 * (clone3, for one, whose flags a filter can't see because they are behind a pointer).
 */

interface SeccompArgument {
	index: number;
	value: number;
	valueTwo?: number;
	op: "SCMP_CMP_EQ" | "SCMP_CMP_NE" | "SCMP_CMP_GT" | "SCMP_CMP_MASKED_EQ";
}

export interface SeccompRule {
	names: string[];
	action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
	errnoRet?: number;
	args?: SeccompArgument[];
}

/** runtime-spec, config-linux.md, "Seccomp". */
export interface SeccompProfile {
	defaultAction: "SCMP_ACT_ERRNO";
	defaultErrnoRet: number;
	architectures: string[];
	syscalls: SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

const names = (text: string) => text.split(/\s+/).filter((name) => name !== "");

const allowed = names(`
	accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
	clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
	epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group
	faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr
	flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
	futex_wake futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid
	getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid
	getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch
	inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl
	ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link
	linkat listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack mbind
	membarrier memfd_create memfd_secret mincore mkdir mkdirat mlock mlock2 mlockall mmap mprotect mq_getsetattr
	mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock
	munlockall munmap nanosleep newfstatat newuname open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
	pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6
	pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages
	removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
	rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max
	sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
	sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
	semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area set_tid_address setfsgid
	setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
	setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
	splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
	timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill
	truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice wait4 waitid write writev
`);

const refused = names(`
	acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init fanotify_mark finit_module
	fsconfig fsmount fsopen fspick init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie
	lsm_set_self_attr migrate_pages mknod mknodat modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at
	nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv
	process_vm_writev ptrace query_module quotactl quotactl_fd reboot request_key set_mempolicy_home_node setdomainname
	sethostname setns settimeofday swapoff swapon sysfs syslog umount2 unshare uselib userfaultfd ustat vhangup
`);

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NAMESPACE_FLAGS = 0x7e020000;
const CLONE_FLAGS = [0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000];
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (which getaddrinfo asks for addresses). */
const SOCKET_FAMILIES = [1, 2, 10, 16];
const LAST_FAMILY = 16;
/** Linux, Linux without address randomisation, the query, and their 32-bit uname versions. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

const machines: Partial<Record<NodeJS.Architecture, string>> = {
	x64: "SCMP_ARCH_X86_64",
	arm64: "SCMP_ARCH_AARCH64",
};

export function seccompProfile(architecture: NodeJS.Architecture): SeccompProfile {
	const machine = machines[architecture];
	return {
		defaultAction: "SCMP_ACT_ERRNO",
		defaultErrnoRet: ENOSYS,
		architectures: machine === undefined ? [] : [machine],
		syscalls: [
			{ names: allowed, action: "SCMP_ACT_ALLOW" },
			{ names: refused, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
			{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
			allow("clone", { index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }),
			...CLONE_FLAGS.map((flag) =>
				refuse("clone", EPERM, { index: 0, value: flag, valueTwo: flag, op: "SCMP_CMP_MASKED_EQ" }),
			),
			...SOCKET_FAMILIES.map((family) => allow("socket", { index: 0, value: family, op: "SCMP_CMP_EQ" })),
			refuse("socket", EAFNOSUPPORT, { index: 0, value: LAST_FAMILY, op: "SCMP_CMP_GT" }),
			...PERSONALITIES.map((value) => allow("personality", { index: 0, value, op: "SCMP_CMP_EQ" })),
		],
	};
}

function allow(name: string, argument: SeccompArgument): SeccompRule {
	return { names: [name], action: "SCMP_ACT_ALLOW", args: [argument] };
}

function refuse(name: string, errnoRet: number, argument: SeccompArgument): SeccompRule {
	return { names: [name], action: "SCMP_ACT_ERRNO", errnoRet, args: [argument] };
}
