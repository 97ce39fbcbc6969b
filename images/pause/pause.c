/*
 * The first process of every pod: it holds the pod's namespaces, collects what ends in a shared process namespace, and
 * exits on SIGTERM or SIGINT. It stands on system calls alone, so that it is a kilobyte and a pod costs a page or two.
 *
 * A first process gets only signals that it waits for, so all three are blocked and taken one by one.
 */

#if defined(__x86_64__)
enum { NR_rt_sigprocmask = 14, NR_wait4 = 61, NR_rt_sigtimedwait = 128, NR_exit_group = 231 };

static long call4(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum { NR_rt_sigprocmask = 135, NR_wait4 = 260, NR_rt_sigtimedwait = 137, NR_exit_group = 94 };

static long call4(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#elif defined(__riscv) && __riscv_xlen == 64
enum { NR_rt_sigprocmask = 135, NR_wait4 = 260, NR_rt_sigtimedwait = 137, NR_exit_group = 94 };

static long call4(long number, long a, long b, long c, long d)
{
	register long a7 __asm__("a7") = number;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3) : "memory");
	return a0;
}
#else
#error "pause.c knows x86-64, AArch64 and RISC-V with 64 bits only"
#endif

enum { SIG_BLOCK = 0, SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, WNOHANG = 1, SET_SIZE = 8, EINTR = 4 };

static unsigned long bit(int signal)
{
	return 1UL << (signal - 1);
}

__attribute__((noreturn, used)) static void run(void)
{
	unsigned long set = bit(SIGINT) | bit(SIGTERM) | bit(SIGCHLD);
	long status = call4(NR_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, SET_SIZE);

	while (status >= 0 || status == -EINTR) {
		status = call4(NR_rt_sigtimedwait, (long)&set, 0, 0, SET_SIZE);
		if (status == SIGINT || status == SIGTERM) {
			status = 0;
			break;
		}
		if (status == SIGCHLD)
			while (call4(NR_wait4, -1, 0, WNOHANG, 0) > 0)
				;
	}
	for (;;)
		call4(NR_exit_group, status != 0, 0, 0, 0);
}

/* The kernel enters with an aligned stack and nothing that could be returned to. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tcall run\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tbl run\n");
#else
/* Nothing is addressed by the global pointer: there is no data. */
__asm__(".globl _start\n_start:\n\tli s0, 0\n\tcall run\n");
#endif
