run(lambda do |env|
  body = env["PATH_INFO"].start_with?("/echo") ? env["rack.input"].read : "a page\n"
  [200, { "content-type" => "text/plain", "Content-Length" => body.bytesize.to_s }, [body]]
end)
