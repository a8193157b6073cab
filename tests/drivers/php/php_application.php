<?php
// PHP, PDO with pdo_pgsql.

$connection = null;

function describe(PDOException $error): array
{
    // errorInfo: SQLSTATE, the status of libpq's result, a text with DETAIL and HINT in it.
    $state = $error->errorInfo[0] ?? (is_string($error->getCode()) ? $error->getCode() : "");
    return ["ok" => false, "class" => get_class($error), "sqlstate" => $state, "message" => $error->getMessage()];
}

function open_connection(): void
{
    global $connection;
    $connection = null;
    $name = getenv("PGAPPNAME");
    $connection = new PDO(sprintf("pgsql:host=%s;port=%s;dbname=%s;application_name=%s", getenv("PGHOST"),
        getenv("PGPORT"), getenv("PGDATABASE"), $name), getenv("PGUSER"));
}

function is_broken(): bool
{
    global $connection;
    return $connection === null || !str_contains($connection->getAttribute(PDO::ATTR_CONNECTION_STATUS), "OK");
}

function begin(): void
{
    global $connection;
    $connection->beginTransaction();
    run("SELECT 1");
}

function run(string $sql): void
{
    global $connection;
    $connection->query($sql);
}

$commands = [
    "version" => fn() => ["version" => "PHP " . PHP_MAJOR_VERSION . "." . PHP_MINOR_VERSION . " PDO"],
    "connect" => fn() => open_connection(),
    "begin" => fn() => begin(),
    "query" => fn() => run("SELECT 1"),
    "hold" => fn() => run("SELECT pg_sleep(3600)"),
];

while (($line = fgets(STDIN)) !== false) {
    $command = $commands[trim($line)] ?? null;
    if ($command === null) {
        $answer = ["unsupported" => true];
    } else {
        try {
            $more = $command();
            $answer = ["ok" => true] + (is_array($more) ? $more : []);
        } catch (PDOException $error) {
            $answer = describe($error) + ["broken" => is_broken()];
        }
    }
    echo json_encode($answer), "\n";
}
