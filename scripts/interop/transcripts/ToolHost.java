import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's tools one after the other in one JVM, which costs a tenth of a JVM each.
 *
 * <p>A request is a line: class and arguments, URL-encoded, by spaces. The answer is a line "CODE OUT-BYTES ERR-BYTES" and
 * then those bytes. A tool that exits is parked for ever instead: an exception would be caught by the tool's own handlers.
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

    static volatile CompletableFuture<Integer> ending = new CompletableFuture<>();

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
        String[] decoded = Arrays.stream(words).map(word -> URLDecoder.decode(word, StandardCharsets.UTF_8)).toArray(String[]::new);
        CompletableFuture<Integer> end = new CompletableFuture<>();
        ending = end;
        Thread tool = new Thread(() -> {
            try {
                Class.forName(decoded[0]).getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(decoded, 1, decoded.length));
                end.complete(0);
            } catch (Throwable thrown) {
                Throwable cause = thrown.getCause() == null ? thrown : thrown.getCause();
                System.err.print("Exception in thread \"main\" ");
                cause.printStackTrace();
                end.complete(1);
            }
        }, "main");
        tool.setDaemon(true);
        tool.start();
        return end.get(600, TimeUnit.SECONDS);
    }
}
