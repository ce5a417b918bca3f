import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSessionContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.apache.commons.net.ftp.FTP;
import org.apache.commons.net.ftp.FTPSClient;

/** Commons Net as it is, or with a subclass that resumes, in one session. Argument: stock or resuming. */
public class CommonsNet {
    /**
     * Puts the control connection's TLS session where Java looks for one to the address and port of
     * the data connection. Needs TLS 1.2 and {@code --add-opens java.base/sun.security.ssl=ALL-UNNAMED
     * --add-opens java.base/sun.security.util=ALL-UNNAMED}.
     */
    static class Resuming extends FTPSClient {
        Resuming(SSLContext context) {
            super(false, context);
        }

        @Override
        protected void _prepareDataSocket_(Socket socket) throws IOException {
            SSLSession session = ((SSLSocket) _socket_).getSession();
            SSLSessionContext context = session.getSessionContext();
            try {
                Field field = context.getClass().getDeclaredField("sessionHostPortCache");
                field.setAccessible(true);
                Object cache = field.get(context);
                Method put = cache.getClass().getDeclaredMethod("put", Object.class, Object.class);
                put.setAccessible(true);
                for (String host : List.of(socket.getInetAddress().getHostName(), socket.getInetAddress().getHostAddress())) {
                    put.invoke(cache, (host + ":" + socket.getPort()).toLowerCase(Locale.ROOT), session);
                }
            } catch (ReflectiveOperationException error) {
                throw new IOException(error);
            }
        }
    }

    interface Action {
        Object run() throws Exception;
    }

    static FTPSClient ftp;

    static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            json.append(c == '"' || c == '\\' ? "\\" + c : c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return json.append('"').toString();
    }

    static void step(String action, Action what) {
        String outcome;
        try {
            Object gave = what.run();
            if (gave instanceof String[]) {
                outcome = "\"names\":" + Arrays.stream((String[]) gave).map(CommonsNet::quoted).collect(Collectors.joining(",", "[", "]"));
            } else if (Boolean.TRUE.equals(gave)) {
                outcome = "\"names\":[]";
            } else {
                outcome = "\"failed\":" + quoted(ftp.getReplyString());
            }
        } catch (Exception error) {
            outcome = "\"failed\":" + quoted(error.toString());
        }
        System.out.println("{\"action\":" + quoted(action) + "," + outcome + "}");
    }

    static boolean up(String local, String remote, long from) throws IOException {
        try (InputStream source = new FileInputStream(local)) {
            source.skipNBytes(from);
            ftp.setRestartOffset(from);
            return ftp.storeFile(remote, source);
        }
    }

    static boolean down(String remote, String local, long from) throws IOException {
        try (OutputStream target = new FileOutputStream(local, from > 0)) {
            ftp.setRestartOffset(from);
            return ftp.retrieveFile(remote, target);
        }
    }

    static List<String> namesIn(String directory) throws IOException {
        try (Stream<Path> entries = Files.list(Path.of(directory))) {
            return entries.map(entry -> entry.getFileName().toString()).sorted().collect(Collectors.toList());
        }
    }

    public static void main(String[] arguments) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (InputStream file = new FileInputStream(System.getenv("FTPS_AUTHORITY"))) {
            trusted.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);

        ftp = arguments[0].equals("resuming") ? new Resuming(context) : new FTPSClient(false, context);
        ftp.setEndpointCheckingEnabled(true);
        if (System.getenv("FTPS_TLS") != null) {
            ftp.setEnabledProtocols(new String[] {"TLSv" + System.getenv("FTPS_TLS")});
        }
        ftp.setControlEncoding("UTF-8");
        ftp.setDefaultTimeout(20_000);
        ftp.setDataTimeout(java.time.Duration.ofSeconds(20));
        ftp.connect("localhost", Integer.parseInt(System.getenv("FTPS_PORT")));
        if (!ftp.login(System.getenv("FTPS_USER"), System.getenv("FTPS_PASSWORD"))) {
            throw new IOException(ftp.getReplyString());
        }
        ftp.execPBSZ(0);
        ftp.execPROT("P");
        ftp.enterLocalPassiveMode();
        ftp.setFileType(FTP.BINARY_FILE_TYPE);

        step("list", () -> ftp.listNames("listed"));
        step("upload", () -> up("up", "up", 0));
        step("upload-empty", () -> up("empty", "empty", 0));
        step("download", () -> down("down", "down", 0));
        step("resume-upload", () -> up("part-up", "part-up", Long.parseLong(ftp.getSize("part-up"))));
        step("resume-download", () -> down("part-down", "part-down", Files.size(Path.of("part-down"))));
        step("rename", () -> ftp.rename("old", "new"));
        step("delete", () -> ftp.deleteFile("gone"));
        step("names", () -> {
            boolean good = true;
            for (String name : namesIn("names")) {
                good = good && up("names/" + name, "names/" + name, 0) && down("names/" + name, "back-names/" + name, 0);
            }
            return good;
        });
        step("upload-200", () -> {
            boolean good = true;
            for (String name : namesIn("many")) {
                good = good && up("many/" + name, "many/" + name, 0);
            }
            return good;
        });
        step("download-200", () -> {
            boolean good = true;
            for (String name : namesIn("many")) {
                good = good && down("store/" + name, "back-many/" + name, 0);
            }
            return good;
        });
        ftp.logout();
        ftp.disconnect();
    }
}
