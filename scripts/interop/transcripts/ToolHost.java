import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Queue;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's tools one after the other in one JVM, which costs a tenth of a JVM each.
 *
 * <p>A request is a line: stdin, class and arguments, each URL-encoded behind a "=", by spaces. The answer is a line "CODE
 * OUT-BYTES ERR-BYTES" and then those bytes. A tool that exits is parked for ever instead: an exception would be caught by the
 * tool's own handlers. What it would do at the end of its JVM is done at its end.
 */
public class ToolHost {
    /** Where a stream goes now; Scala keeps the first System.out that it sees. */
    static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream target = new ByteArrayOutputStream();

        @Override
        public void write(int b) {
            target.write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            target.write(bytes, offset, length);
        }
    }

    /** Loads the tools anew: their objects count on being used once in a JVM. */
    static final class Fresh extends ClassLoader {
        Fresh() {
            super(ToolHost.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("kafka.tools.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> known = findLoadedClass(name);
                return known == null ? define(name) : known;
            }
        }

        private Class<?> define(String name) throws ClassNotFoundException {
            try (InputStream stored = getResourceAsStream(name.replace('.', '/') + ".class")) {
                if (stored == null) {
                    throw new ClassNotFoundException(name);
                }
                byte[] bytes = stored.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException unreadable) {
                throw new ClassNotFoundException(name, unreadable);
            }
        }
    }

    static volatile CompletableFuture<Integer> ending = new CompletableFuture<>();
    static final Queue<Thread> hooks = new ConcurrentLinkedQueue<>();

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.Procedure park = (code, message) -> {
            ending.complete(code);
            while (true) {
                LockSupport.park();
            }
        };
        Exit.setExitProcedure(park);
        Exit.setHaltProcedure(park);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(new Thread(hook, name)));
        Scanner requests = new Scanner(System.in, StandardCharsets.UTF_8);
        while (requests.hasNextLine()) {
            out.target = new ByteArrayOutputStream();
            err.target = new ByteArrayOutputStream();
            int code = run(requests.nextLine().split(" "));
            System.out.flush();
            System.err.flush();
            byte[] said = out.target.toByteArray();
            byte[] complained = err.target.toByteArray();
            answers.println(code + " " + said.length + " " + complained.length);
            answers.write(said, 0, said.length);
            answers.write(complained, 0, complained.length);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    static int run(String[] words) throws Exception {
        String[] decoded = Arrays.stream(words).map(word -> URLDecoder.decode(word.substring(1), StandardCharsets.UTF_8))
            .toArray(String[]::new);
        System.setIn(new ByteArrayInputStream(decoded[0].getBytes(StandardCharsets.UTF_8)));
        hooks.clear();
        CompletableFuture<Integer> end = new CompletableFuture<>();
        ending = end;
        ClassLoader fresh = new Fresh();
        Thread tool = new Thread(() -> {
            try {
                fresh.loadClass(decoded[1]).getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(decoded, 2, decoded.length));
                end.complete(0);
            } catch (Throwable thrown) {
                Throwable cause = thrown.getCause() == null ? thrown : thrown.getCause();
                System.err.print("Exception in thread \"main\" ");
                cause.printStackTrace();
                end.complete(1);
            }
        }, "main");
        tool.setContextClassLoader(fresh);
        tool.setDaemon(true);
        tool.start();
        int code = end.get(Long.getLong("deadline_s"), TimeUnit.SECONDS);
        for (Thread hook = hooks.poll(); hook != null; hook = hooks.poll()) {
            hook.start();
            hook.join(30_000);
        }
        return code;
    }
}
