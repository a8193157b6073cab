// Java: pgjdbc, and HikariCP.

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyOut;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

final class JdbcApplication {
  private static final String COPY_OUT =
      "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT";

  private final String url;
  private final Properties properties = new Properties();
  private Connection connection;
  private CopyOut copyOut;
  private CopyIn copyIn;
  private HikariDataSource pool;

  private JdbcApplication() {
    url = String.format("jdbc:postgresql://%s:%s/%s", System.getenv("PGHOST"), System.getenv("PGPORT"),
        System.getenv("PGDATABASE"));
    properties.setProperty("user", System.getenv("PGUSER"));
    properties.setProperty("ApplicationName", System.getenv("PGAPPNAME"));
    properties.setProperty("sslmode", System.getenv("PGSSLMODE"));
    if (System.getenv("PGPASSWORD") != null) {
      properties.setProperty("password", System.getenv("PGPASSWORD"));
    }
  }

  private void connect() throws SQLException {
    if (connection != null) {
      connection.close();
    }
    connection = null;
    copyOut = null;
    copyIn = null;
    connection = DriverManager.getConnection(url, properties);
  }

  private void run(String sql) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(sql);
    }
  }

  private void begin() throws SQLException {
    connection.setAutoCommit(false);
    run("SELECT 1");
  }

  private void startCopyOut() throws SQLException {
    copyOut = connection.unwrap(PGConnection.class).getCopyAPI().copyOut(COPY_OUT);
    copyOut.readFromCopy();
  }

  private void startCopyIn() throws SQLException {
    copyIn = connection.unwrap(PGConnection.class).getCopyAPI().copyIn("COPY copied FROM STDIN");
    byte[] line = "a line\n".getBytes(StandardCharsets.UTF_8);
    copyIn.writeToCopy(line, 0, line.length);
    copyIn.flushCopy();
  }

  private void finishCopy() throws SQLException {
    if (copyOut != null) {
      while (copyOut.readFromCopy() != null) {
        continue;
      }
    } else {
      copyIn.endCopy();
    }
  }

  private void openPool(int size) throws SQLException {
    HikariConfig config = new HikariConfig();
    config.setJdbcUrl(url);
    config.setDataSourceProperties(properties);
    config.setMinimumIdle(size);
    config.setMaximumPoolSize(size);
    pool = new HikariDataSource(config);
    List<Connection> opened = new ArrayList<>();
    for (int count = 0; count < size; ++count) {
      opened.add(pool.getConnection());
    }
    for (Connection one : opened) {
      one.close();
    }
  }

  private String usePool(int count) {
    int failed = 0;
    boolean recovered = false;
    String last = "";
    for (int use = 0; use < count; ++use) {
      try (Connection borrowed = pool.getConnection(); Statement statement = borrowed.createStatement()) {
        statement.execute("SELECT 1");
        recovered = true;
      } catch (SQLException error) {
        ++failed;
        recovered = false;
        last = ", \"error\": " + describe(error);
      }
    }
    return String.format("{\"ok\": %b, \"failed\": %d%s}", recovered, failed, last);
  }

  private static String quoted(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char character : (text == null ? "" : text).toCharArray()) {
      if (character == '"' || character == '\\') {
        quoted.append('\\').append(character);
      } else if (character < ' ') {
        quoted.append(String.format("\\u%04x", (int) character));
      } else {
        quoted.append(character);
      }
    }
    return quoted.append('"').toString();
  }

  private String describe(SQLException error) {
    ServerErrorMessage said = error instanceof PSQLException ? ((PSQLException) error).getServerErrorMessage() : null;
    boolean broken;
    try {
      // isValid() would wait for ever for the lock that a COPY holds until it is over.
      boolean inCopy = copyOut != null || copyIn != null;
      broken = connection == null || connection.isClosed() || !inCopy && !connection.isValid(1);
    } catch (SQLException failure) {
      broken = true;
    }
    return String.format(
        "{\"ok\": false, \"class\": %s, \"sqlstate\": %s, \"message\": %s, \"detail\": %s, \"hint\": %s, \"broken\": %b}",
        quoted(error.getClass().getSimpleName()), quoted(error.getSQLState()), quoted(error.getMessage()),
        quoted(said == null ? "" : said.getDetail()), quoted(said == null ? "" : said.getHint()), broken);
  }

  private String carryOut(String[] command) {
    try {
      switch (command[0]) {
        case "version":
          return "{\"ok\": true, \"version\": " + quoted("pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION) + "}";
        case "connect": connect(); break;
        case "begin": begin(); break;
        case "query": run("SELECT 1"); break;
        case "hold": run("SELECT pg_sleep(3600)"); break;
        case "copy_out": startCopyOut(); break;
        case "copy_in": startCopyIn(); break;
        case "finish": finishCopy(); break;
        case "pool": openPool(Integer.parseInt(command[1])); break;
        case "use": return usePool(Integer.parseInt(command[1]));
        default: return "{\"unsupported\": true}";
      }
      return "{\"ok\": true}";
    } catch (SQLException error) {
      return describe(error);
    }
  }

  public static void main(String[] arguments) throws IOException {
    JdbcApplication application = new JdbcApplication();
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      System.out.println(application.carryOut(line.split(" ")));
    }
    System.exit(0);
  }
}
